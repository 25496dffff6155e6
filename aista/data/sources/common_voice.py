"""Common Voice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part
from aista.data.sources.common_voice_tables import SPLITS, covost_pairs, read_clips
from aista.data.sources.published import PublishedCorpus, choose_language
from aista.registry import register

__all__ = ["CommonVoice"]


@register("source", "common_voice")
@dataclass(frozen=True, kw_only=True)
class CommonVoice(PublishedCorpus):
    """Common Voice (Ardila et al. 2020): sentences read by volunteers, one folder per language, any release.

    The official train, dev and test: each sentence in one of them, speakers apart. The other tables (validated, other,
    invalidated) are not read: they hold the clips of test, or bad ones. There are no translations; CoVoST 2 has some.
    Choose it for recognition, or for speech to add to a mixture of tasks; ``covost2`` for translation.
    """

    root_holds: ClassVar[str] = "clips and train.tsv, one folder for each language (cv-corpus-VERSION/en)"

    @classmethod
    @override
    def is_root(cls, folder: Path) -> bool:
        tables = any((folder / f"{split}.tsv").is_file() for split in SPLITS)
        return tables and (folder / "clips").is_dir() and not covost_pairs(folder)

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        root = self.root(place)
        there = [split for split in SPLITS if (root / f"{split}.tsv").is_file()]
        tables = {split: root / f"{split}.tsv" for split in self.chosen(place, there)}
        first = [next(read_clips(table), None) for table in tables.values()]
        language = next((clip.language for clip in first if clip and clip.language), root.resolve().name)
        choose_language(place, language, languages, instead="take covost2")
        return [_part(table, split, language) for split, table in tables.items()]


def _part(table: Path, split: str, language: str) -> Part:
    columns = ("audio", "src_text", "speaker", "src_lang")
    return Part(str(table), columns, lambda: _entries(table, language), split, (table.parent / "clips",))


def _entries(table: Path, language: str) -> Iterator[Entry]:
    for clip in read_clips(table):
        spoken = {"audio": clip.file, "src_text": clip.transcript, "speaker": clip.speaker}
        yield Entry(clip.place, {**spoken, "src_lang": clip.language or language}, clip.fault)
