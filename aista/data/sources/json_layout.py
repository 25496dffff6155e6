"""Base of layouts in JSON, which differ in the meaning of an object's keys."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part, Source
from aista.data.sources.corpus_files import JSON_SUFFIXES, find_files, first_objects, read_objects
from aista.errors import DataError

__all__ = ["JsonLayout"]

_LOOKED_AT = 100  # objects whose keys are the columns


class JsonLayout(Source):
    """Objects in ``.jsonl`` or ``.json``, one a line or one list; a folder may hold a file for each split."""

    @classmethod
    @abstractmethod
    def holds(cls, fields: Mapping[str, Any]) -> bool:
        """Whether an object is of this layout."""

    @abstractmethod
    def convert(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """An object with its values under the names of a manifest's columns; others stay.

        Raises:
            ValueError: it is not an utterance.
        """

    @classmethod
    @override
    def recognises(cls, place: str) -> bool:
        try:
            return all(cls.holds(first_objects(file, 1)[0]) for file, _ in find_files(place, JSON_SUFFIXES))
        except DataError:
            return False

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        return [self._part(file, split) for file, split in find_files(place, JSON_SUFFIXES)]

    def folders(self, file: Path) -> tuple[Path, ...]:
        """Folders that relative audio paths may start from."""
        return (file.parent,)

    def _part(self, file: Path, split: str) -> Part:
        columns: dict[str, None] = {}
        for fields in first_objects(file, _LOOKED_AT):
            columns |= dict.fromkeys(self._converted(Entry("", fields)).fields)
        return Part(str(file), tuple(columns), lambda: self.entries(file), split, self.folders(file))

    def entries(self, file: Path) -> Iterator[Entry]:
        """A file's objects, converted."""
        return map(self._converted, read_objects(file))

    def _converted(self, entry: Entry) -> Entry:
        if entry.fault:
            return entry
        try:
            return Entry(entry.place, self.convert(entry.fields))
        except ValueError as error:
            return Entry(entry.place, entry.fields, str(error))
