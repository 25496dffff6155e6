"""Shared code of the readers of published corpora, in the folders that their archives unpack to."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, NamedTuple

from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Recording, Source, primary
from aista.data.sources.corpus_files import open_text
from aista.errors import DataError
from aista.registry import nearest
from aista.schema import Options, option

__all__ = [
    "SEGMENT_COLUMNS",
    "PublishedCorpus",
    "Segment",
    "choose_language",
    "choose_pair",
    "count_lines",
    "folders_in",
    "nearby",
    "read_lines",
    "require_files",
    "segment_entries",
]

_ABOVE, _BELOW = 4, 200  # folders that are looked at around one that is wrong


SEGMENT_COLUMNS = ("id", "audio", "src_text", "tgt_text", "speaker", "src_lang", "tgt_lang")
"""Columns that ``segment_entries`` fills."""


class Segment(NamedTuple):
    """A segment of a long recording: place of its line, the recording's name, and its fields."""

    place: str
    name: str
    audio: Recording
    transcript: str
    translation: str
    speaker: str


@dataclass(frozen=True, kw_only=True)
class PublishedCorpus(Options, Source):
    """A corpus with its own splits, which are kept."""

    root_holds: ClassVar[str]
    """Contents of the folder to name, for messages."""

    splits: tuple[str, ...] = option((), "The splits to read, by the corpus's own names; empty: all.")

    @classmethod
    @abstractmethod
    def is_root(cls, folder: Path) -> bool:
        """Whether a folder is the root of the corpus. May raise OSError."""

    @classmethod
    @override
    def recognises(cls, place: str) -> bool:
        return _holds(cls.is_root, Path(place))

    def root(self, place: str) -> Path:
        """The folder of that name. Raises DataError where it is another one, naming the right one if that is near."""
        if self.recognises(place):
            return Path(place)
        found = nearby(Path(place), self.is_root)
        meant = f"give {' or '.join(map(str, found))}" if found else "check the path, and that the archive is unpacked"
        raise DataError(f"--from {place}: must be the folder that holds {self.root_holds}; {meant}")

    def chosen(self, place: str, there: Sequence[str]) -> list[str]:
        """The splits to read, of those that are there. Raises DataError for others."""
        for name in self.splits:
            if name not in there:
                raise DataError(
                    f"--from {place}: splits must be some of {', '.join(there)}, got {name!r}{nearest(name, there)}"
                )
        return [name for name in there if not self.splits or name in self.splits]


def nearby(place: Path, is_right: Callable[[Path], bool]) -> list[Path]:
    """The nearest folder above ``place`` that is right; else those one or two levels below it, at most eight."""
    folder = place if place.is_dir() else place.parent
    above = (path for path in islice(folder.resolve().parents, _ABOVE) if _holds(is_right, path))
    if (nearest_above := next(above, None)) is not None:
        return [nearest_above]
    inner = folders_in(folder)[:_BELOW]
    deeper = (path for first in inner for path in folders_in(first)[: _BELOW // len(inner)])
    for level in (inner, deeper):
        if found := [path for path in level if _holds(is_right, path)]:
            return found[:8]
    return []


def choose_pair(place: str, pairs: Collection[tuple[str, str]], languages: Languages) -> tuple[str, str]:
    """The one pair of languages that a corpus has of those that a user asks for; ``zh`` asks for ``zh-CN``, too.

    Raises:
        DataError: it has none, or several.
    """
    hits = [pair for pair in pairs if all(map(_is_asked, pair, languages))]
    known = ", ".join(sorted("-".join(pair) for pair in pairs))
    if not hits:
        asked = "-".join(language or "*" for language in languages)
        raise DataError(
            f"--from {place}: holds {known}, not {asked}; ask for these by --source-language and "
            "--target-language, or unpack the other pair beside them"
        )
    if len(hits) > 1:
        raise DataError(f"--from {place}: holds {known}; choose one by --source-language and --target-language")
    return hits[0]


def choose_language(place: str, known: str, languages: Languages, *, instead: str) -> str:
    """The language of a corpus of recognition. Raises DataError where another is asked for, or a translation.

    Args:
        place: As the user names it.
        known: Language of the corpus.
        languages: Languages that the user asks for.
        instead: Advice on a corpus with translations.
    """
    if not _is_asked(known, languages.source):
        raise DataError(f"--from {place}: is in {known}, not {languages.source}; correct --source-language")
    if languages.target:
        raise DataError(
            f"--from {place}: has only transcripts, no translation into {languages.target}; leave --target-language "
            f"out, or {instead}"
        )
    return known


def folders_in(folder: Path) -> list[Path]:
    """The subfolders of a folder, by name; empty where there is no such folder. Does not stat every file."""
    try:
        with os.scandir(folder) as entries:
            return [folder / name for name in sorted(entry.name for entry in entries if entry.is_dir())]
    except OSError:
        return []


def read_lines(file: Path) -> Iterator[str]:
    """A text file's lines, which line feeds alone end: other line breaks of Unicode are part of a text."""
    with open_text(file, newline="\n") as stream:
        for line in stream:
            yield line.rstrip("\r\n")


def count_lines(files: Sequence[Path]) -> int:
    """The number of lines that files have, all the same. Raises DataError where one has more than another."""
    counts = [sum(1 for _ in read_lines(file)) for file in files]
    if len(set(counts)) > 1:
        found = ", ".join(f"{file.name} {count:,}" for file, count in zip(files, counts, strict=True))
        raise DataError(
            f"{files[0].parent}: its files must have a line for each segment, got {found}; unpack the corpus again"
        )
    return counts[0]


def segment_entries(segments: Iterable[Entry | Segment], pair: tuple[str, str]) -> Iterator[Entry]:
    """The rows of a corpus of long recordings: ids are the recording's name and the segment's number in it.

    Args:
        segments: In the corpus's order; what is an entry already, of a line that cannot be used, stays.
        pair: Languages of the speech and of the translations.
    """
    heard: Counter[str] = Counter()
    for segment in segments:
        if isinstance(segment, Entry):
            yield segment
            continue
        fields = {
            "id": f"{segment.name}_{heard[segment.name]}",
            "audio": segment.audio,
            "src_text": segment.transcript,
            "tgt_text": segment.translation,
            "speaker": segment.speaker,
            "src_lang": pair[0],
            "tgt_lang": pair[1],
        }
        heard[segment.name] += 1
        yield Entry(segment.place, fields)


def require_files(place: str, files: Sequence[Path]) -> None:
    """Raise DataError unless all files are there."""
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise DataError(f"--from {place}: lacks {', '.join(missing)}; unpack the corpus again")


def _is_asked(known: str, asked: str) -> bool:
    return not asked or primary(known) == primary(asked)


def _holds(is_right: Callable[[Path], bool], folder: Path) -> bool:
    try:
        return is_right(folder)
    except OSError:
        return False
