"""CoVoST 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part
from aista.data.sources.common_voice_tables import SPLITS, covost_pairs, read_translations
from aista.data.sources.published import PublishedCorpus, choose_pair
from aista.registry import register

__all__ = ["Covost2"]


@register("source", "covost2")
@dataclass(frozen=True, kw_only=True)
class Covost2(PublishedCorpus):
    """CoVoST 2 (Wang et al. 2021): translated clips of Common Voice 4, English into 15 languages and 21 into English.

    The tables of CoVoST lie beside ``clips``: ``covost_v2.en_de.tsv`` as published, or the three splits that its script
    makes of it; both give the same rows. Choose it to compare with published systems: En-Zh and En-Ja are the pairs of
    AI-STA's paper.
    """

    root_holds: ClassVar[str] = (
        "clips, validated.tsv and covost_v2.en_de.tsv (or another pair's), all of Common Voice 4"
    )

    @classmethod
    @override
    def is_root(cls, folder: Path) -> bool:
        return (folder / "clips").is_dir() and bool(covost_pairs(folder))

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        root = self.root(place)
        pair = choose_pair(place, covost_pairs(root), languages)
        return [_part(root, pair, split) for split in self.chosen(place, SPLITS)]


def _part(root: Path, pair: tuple[str, str], split: str) -> Part:
    read_translations(root, pair, split)  # refuses now what cannot be read
    columns = ("audio", "src_text", "tgt_text", "speaker", "src_lang", "tgt_lang")
    name = f"{root}, {'-'.join(pair)} ({split})"
    return Part(name, columns, lambda: _entries(root, pair, split), split, (root / "clips",))


def _entries(root: Path, pair: tuple[str, str], split: str) -> Iterator[Entry]:
    seen: set[str] = set()
    for clip in read_translations(root, pair, split):
        fault = clip.fault or ("named twice in its split" if clip.file in seen else "")
        seen.add(clip.file)
        texts = {"src_text": clip.transcript, "tgt_text": clip.translation, "speaker": clip.speaker}
        yield Entry(clip.place, {"audio": clip.file, **texts, "src_lang": pair[0], "tgt_lang": pair[1]}, fault)
