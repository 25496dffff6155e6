"""MuST-C."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part, Recording
from aista.data.sources.corpus_files import open_text
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
from aista.registry import register

__all__ = ["MustC"]

_PAIR = re.compile(r"([a-z]{2,3})-([a-z]{2,3}(?:-[A-Za-z]+)?)")
_VALUE = re.compile(r"""(\w+):\s*(?:'([^']*)'|"([^"]*)"|([^,{}]*[^,{}\s]))""")
_SPLITS = {"tst-COMMON": "test"}


@register("source", "must_c")
@dataclass(frozen=True, kw_only=True)
class MustC(PublishedCorpus):
    """MuST-C (Di Gangi et al. 2019, Cattoni et al. 2021): English TED talks with translations into 14 languages.

    Talks are cut into their segments. train and dev keep their names, tst-COMMON becomes ``test``, and other test sets
    (tst-HE) keep theirs. Choose it for long, fluent sentences and to compare with most of the literature.
    """

    root_holds: ClassVar[str] = "en-de or another pair of languages, with en-de/data/train"

    @classmethod
    @override
    def is_root(cls, folder: Path) -> bool:
        return bool(_pairs(folder))

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        pairs = _pairs(self.root(place))
        pair = choose_pair(place, pairs, languages)
        data = pairs[pair]
        return [_part(place, data / name, pair) for name in self.chosen(place, _splits(data))]


def _pairs(folder: Path) -> dict[tuple[str, str], Path]:
    """Pair of languages -> its folder ``data``, in a folder of pairs or that of one pair."""
    matches = [(_PAIR.fullmatch(path.name), path / "data") for path in (folder.resolve(), *folders_in(folder))]
    return {(match[1], match[2]): data for match, data in matches if match and _splits(data)}


def _splits(data: Path) -> list[str]:
    return sorted((path.name for path in folders_in(data) if (path / "txt").is_dir()), key=lambda name: name != "train")


def _part(place: str, folder: Path, pair: tuple[str, str]) -> Part:
    name = folder.name
    table = folder / "txt" / f"{name}.yaml"
    texts = [folder / "txt" / f"{name}.{language}" for language in pair]
    require_files(place, [table, *texts])
    total = count_lines(texts)
    segments = sum(1 for _ in _segments(table))
    if segments != total:
        raise DataError(
            f"{table}: must hold a segment for each line of {texts[0].name}, got {segments:,} and {total:,}; unpack "
            "the corpus again"
        )
    split = _SPLITS.get(name, name)
    return Part(
        str(folder),
        SEGMENT_COLUMNS,
        lambda: segment_entries(_with_texts(folder, pair), pair),
        split,
        (folder / "wav",),
        total,
    )


def _with_texts(folder: Path, pair: tuple[str, str]) -> Iterator[Entry | Segment]:
    name = folder.name
    texts = (read_lines(folder / "txt" / f"{name}.{language}") for language in pair)
    for (place, segment), source, target in zip(_segments(folder / "txt" / f"{name}.yaml"), *texts, strict=True):
        try:
            wav, start, seconds = segment["wav"], float(segment["offset"]), float(segment["duration"])
            if start < 0 or not seconds > 0:
                raise ValueError
        except (KeyError, ValueError):
            yield Entry(place, {}, f"a segment needs wav, offset and a duration above 0, got {shown(dict(segment))}")
            continue
        audio = Recording(wav, None, start, seconds)
        yield Segment(place, wav.removesuffix(".wav"), audio, source, target, segment.get("speaker_id", ""))


def _segments(table: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Place and values of each segment: ``- {duration: 3.5, offset: 16.08, speaker_id: spk.7, wav: ted_7.wav}``.

    The file is read piece by piece: to build all of its quarter of a million mappings first takes minutes in Python.
    """
    held = ""
    with open_text(table) as stream:
        for number, line in enumerate(stream, 1):
            held += line
            if "}" in line:
                yield f"{table.name}:{number}", {key: a or b or c for key, a, b, c in _VALUE.findall(held)}
                held = ""
    if held.strip():
        raise DataError(
            f"{table}: must hold a line such as '- {{duration: 3.5, offset: 16.08, wav: ted_7.wav}}' for each segment, "
            f"got {shown(held.strip()[:80])}; unpack the corpus again"
        )
