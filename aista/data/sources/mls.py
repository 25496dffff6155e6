"""Multilingual LibriSpeech."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part
from aista.data.sources.published import PublishedCorpus, choose_language, read_lines
from aista.registry import register

__all__ = ["Mls"]

_SPLITS = ("train", "dev", "test")
_CODES = {
    "english": "en",
    "german": "de",
    "dutch": "nl",
    "french": "fr",
    "spanish": "es",
    "italian": "it",
    "portuguese": "pt",
    "polish": "pl",
}


@register("source", "mls")
@dataclass(frozen=True, kw_only=True)
class Mls(PublishedCorpus):
    """Multilingual LibriSpeech (Pratap et al. 2020): audiobooks in eight languages with transcripts, one folder each.

    FLAC or Opus. Texts are in lower case without punctuation. Choose it to teach a model to listen to a language for
    which LibriSpeech has no speech.
    """

    root_holds: ClassVar[str] = "train/transcripts.txt and dev, one folder for each language (mls_german)"

    @classmethod
    @override
    def is_root(cls, folder: Path) -> bool:
        return bool(_splits(folder)) and _language(folder) in _CODES

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        root = self.root(place)
        language = _CODES[_language(root)]
        choose_language(place, language, languages, instead="take must_c, covost2, europarl_st or fleurs")
        return [_part(root / split, language) for split in self.chosen(place, _splits(root))]


def _splits(folder: Path) -> list[str]:
    return [split for split in _SPLITS if (folder / split / "transcripts.txt").is_file()]


def _language(folder: Path) -> str:
    """``german`` of ``mls_german`` and ``mls_german_opus``."""
    prefix, _, rest = folder.resolve().name.partition("_")
    return rest.partition("_")[0] if prefix == "mls" else ""


def _part(folder: Path, language: str) -> Part:
    columns = ("id", "audio", "src_text", "speaker", "src_lang")
    return Part(str(folder), columns, lambda: _entries(folder, language), folder.name, (folder / "audio",))


def _entries(folder: Path, language: str) -> Iterator[Entry]:
    for number, line in enumerate(read_lines(folder / "transcripts.txt"), 1):
        place, (id, tab, text) = f"{folder.name}/transcripts.txt:{number}", line.partition("\t")
        speaker, _, rest = id.partition("_")
        book = rest.partition("_")[0]
        if not (tab and book):
            yield Entry(place, {}, "a line must be SPEAKER_BOOK_NUMBER, a tab and the text")
            continue
        audio = f"{speaker}/{book}/{id}"  # .flac, or .opus in the smaller archives
        yield Entry(place, {"id": id, "audio": audio, "src_text": text, "speaker": speaker, "src_lang": language})
