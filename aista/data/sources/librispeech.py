"""LibriSpeech."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part
from aista.data.sources.published import PublishedCorpus, choose_language, read_lines
from aista.registry import register
from aista.schema import option

__all__ = ["LibriSpeech"]

_SUBSETS = {
    "train-clean-100": "train",
    "train-clean-360": "train",
    "train-other-500": "train",
    "train-clean-5": "train",  # of Mini LibriSpeech
    "dev-clean": "dev",
    "dev-clean-2": "dev",  # of Mini LibriSpeech
    "dev-other": "dev-other",
    "test-clean": "test",
    "test-other": "test-other",
}


@register("source", "librispeech")
@dataclass(frozen=True, kw_only=True)
class LibriSpeech(PublishedCorpus):
    """LibriSpeech (Panayotov et al. 2015): read English with transcripts; 960 h of training speech.

    The training subsets become ``train``, dev-clean ``dev``, test-clean ``test``; dev-other and test-other keep their
    names. Choose it to teach a model to listen, before or beside a corpus with translations.
    """

    root_holds: ClassVar[str] = "train-clean-100, dev-clean and others"
    lowercase: bool = option(True, "Lower-case the transcripts, which are all capitals and would need many pieces.")

    @classmethod
    @override
    def is_root(cls, folder: Path) -> bool:
        return any((folder / name).is_dir() for name in _SUBSETS)

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        root = self.root(place)
        choose_language(place, "en", languages, instead="take must_c, covost2, europarl_st or fleurs")
        there = [name for name in _SUBSETS if (root / name).is_dir()]
        note = "transcripts in lower case" if self.lowercase else ""
        return [self._part(root / name, _SUBSETS[name], note) for name in self.chosen(place, there)]

    def _part(self, folder: Path, split: str, note: str) -> Part:
        columns = ("id", "audio", "src_text", "speaker", "src_lang")
        return Part(str(folder), columns, lambda: self._entries(folder), split, (folder,), note=note)

    def _entries(self, subset: Path) -> Iterator[Entry]:
        for chapter in sorted(path for path in subset.glob("*/*") if path.is_dir()):
            speaker = chapter.parent.name
            texts = chapter / f"{speaker}-{chapter.name}.trans.txt"
            if not texts.is_file():
                for audio in sorted(chapter.glob("*.flac")):
                    yield Entry(str(audio.relative_to(subset)), {}, f"its chapter has no {speaker}-CHAPTER.trans.txt")
                continue
            for number, line in enumerate(read_lines(texts), 1):
                id, _, text = line.partition(" ")
                yield Entry(
                    f"{subset.name}/{texts.name}:{number}",
                    {
                        "id": id,
                        "audio": f"{speaker}/{chapter.name}/{id}.flac",
                        "src_text": text.lower() if self.lowercase else text,
                        "speaker": speaker,
                        "src_lang": "en",
                    },
                )
