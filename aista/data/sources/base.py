"""Interface of the layouts that ``aista data import`` reads: parts with columns, and their rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

__all__ = ["Entry", "Languages", "Part", "Recording", "Source", "flatten", "primary", "split_of"]

SPLITS = {
    "train": ("train", "training", "trn"),
    "dev": ("dev", "development", "val", "valid", "validation", "validate"),
    "test": ("test", "testing", "tst"),
}
"""A manifest's split -> its names in other corpora."""


class Languages(NamedTuple):
    """Language codes of speech and translations given by the user; "" where not given."""

    source: str = ""
    target: str = ""


@dataclass(frozen=True)
class Recording:
    """Place of an utterance's audio.

    Attributes:
        path: A file, or what else a manifest's column ``audio`` may hold; with ``content`` the name that the bytes had.
        content: The bytes of the encoded file, where no file of its own holds them.
        start: Seconds before the utterance begins.
        seconds: Duration; None: to the end.
    """

    path: str = ""
    content: bytes | None = field(default=None, repr=False)
    start: float = 0.0
    seconds: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the utterance is all of the file."""
        return self.start == 0 and self.seconds is None


@dataclass(frozen=True)
class Entry:
    """One row of a source, unconverted.

    Attributes:
        place: Its place, for messages: ``metadata.csv:3``.
        fields: Column -> value: texts, numbers, None, and for audio a path, ``{"bytes": ..., "path": ...}`` or a
            ``Recording``.
        fault: Why it cannot be read; "" where it can.
    """

    place: str
    fields: Mapping[str, Any]
    fault: str = ""


@dataclass(frozen=True)
class Part:
    """A piece of a source whose rows have the same columns: a file, a folder, a split.

    Attributes:
        name: As messages name it.
        columns: Columns of its rows, as far as known without reading all of them.
        entries: Begins to read the rows; memory must not grow with their number.
        split: ``train``, ``dev``, ``test`` or another name; "" where the source does not say.
        folders: Folders that relative audio paths may start from, the most likely first.
        total: Number of rows, for a progress bar; None if that is not known.
        note: Note on how it is read, for the report.
    """

    name: str
    columns: tuple[str, ...]
    entries: Callable[[], Iterator[Entry]]
    split: str = ""
    folders: tuple[Path, ...] = ()
    total: int | None = None
    note: str = ""


class Source(ABC):
    """A layout of corpora. Nothing in a corpus is executed: no script, pickle or command in a table."""

    usual: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Columns of a manifest -> their names in this layout, tried before the common names."""
    is_general: ClassVar[bool] = False
    """Whether it is a general layout: more specific layouts that also recognise a corpus are preferred."""

    @classmethod
    @abstractmethod
    def recognises(cls, place: str) -> bool:
        """Whether a path or name looks like this layout. Reads little, and never raises."""

    @abstractmethod
    def parts(self, place: str, languages: Languages) -> list[Part]:
        """The pieces of the corpus at ``place``, at least one.

        Args:
            place: A path or name.
            languages: Languages that the user asks for; a corpus of several languages chooses by them.

        Raises:
            DataError: it cannot be read, is of another layout, or has no such languages.
        """


def split_of(name: str) -> str:
    """The manifest's split for a name such as ``validation``: train, dev, test, or the name itself."""
    return next((split for split, names in SPLITS.items() if name.lower() in names), name)


def primary(language: str) -> str:
    """The language of a code, without its country or script: ``zh`` of ``zh-CN``."""
    return language.replace("_", "-").partition("-")[0].casefold()


def flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted columns: ``translation.fr``; audio with its ``bytes`` and ``path`` stays together."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and not set(value) <= {"bytes", "path"}:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat
