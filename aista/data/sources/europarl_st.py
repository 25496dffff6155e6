"""Europarl-ST."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part, Recording
from aista.data.sources.published import (
    SEGMENT_COLUMNS,
    PublishedCorpus,
    Segment,
    choose_pair,
    count_lines,
    folders_in,
    read_lines,
    require_files,
    segment_entries,
)
from aista.errors import DataError, shown
from aista.extras import require
from aista.registry import register

__all__ = ["EuroparlSt"]

_SPLITS = ("train", "train-noisy", "dev", "test")


@register("source", "europarl_st")
@dataclass(frozen=True, kw_only=True)
class EuroparlSt(PublishedCorpus):
    """Europarl-ST (Iranzo-Sánchez et al. 2020): debates of the European Parliament, any pair of nine languages.

    Speeches are cut into their segments. train, dev and test are the official ones; train-noisy of v1.1 becomes a
    manifest of its own. Choose it for pairs without English.
    """

    root_holds: ClassVar[str] = "en/audios and en/de, or another language's (v1.1 in the archive)"

    @classmethod
    @override
    def is_root(cls, folder: Path) -> bool:
        return bool(_pairs(folder))

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        root = self.root(place)
        source, target = choose_pair(place, _pairs(root), languages)
        if any((root / source / "audios").glob("*.m4a")):
            require("av", "--format europarl_st", DataError)
        folder = root / source / target
        return [_part(place, folder / name, (source, target)) for name in self.chosen(place, _splits(folder))]


def _pairs(root: Path) -> list[tuple[str, str]]:
    spoken = [folder for folder in folders_in(root) if (folder / "audios").is_dir()]
    return [(folder.name, pair.name) for folder in spoken for pair in folders_in(folder) if _splits(pair)]


def _splits(folder: Path) -> list[str]:
    return [name for name in _SPLITS if (folder / name).is_dir()]


def _part(place: str, folder: Path, pair: tuple[str, str]) -> Part:
    files = [folder / name for name in ("segments.lst", *(f"segments.{language}" for language in pair))]
    require_files(place, files)
    total = count_lines(files)
    audio = folder.parent.parent / "audios"
    return Part(
        str(folder),
        SEGMENT_COLUMNS,
        lambda: segment_entries(_segments(folder, pair), pair),
        folder.name,
        (audio,),
        total,
    )


def _segments(folder: Path, pair: tuple[str, str]) -> Iterator[Entry | Segment]:
    speakers = _speakers(folder)
    files = (read_lines(folder / name) for name in ("segments.lst", *(f"segments.{language}" for language in pair)))
    for number, (segment, source, target) in enumerate(zip(*files, strict=True), 1):
        place = f"{folder.name}/segments.lst:{number}"
        try:
            speech, first, last = segment.split()
            start, end = float(first), float(last)
            if not 0 <= start < end:
                raise ValueError
        except ValueError:
            yield Entry(place, {}, f"a segment must be SPEECH START END, got {shown(segment)}")
            continue
        audio = Recording(speech, None, start, end - start)
        yield Segment(place, speech, audio, source, target, speakers.get(speech, ""))


def _speakers(folder: Path) -> dict[str, str]:
    files = [folder / name for name in ("speeches.lst", "speakers.lst")]
    if not all(file.is_file() for file in files):
        return {}
    count_lines(files)
    speeches, speakers = map(read_lines, files)
    return dict(zip(speeches, speakers, strict=True))
