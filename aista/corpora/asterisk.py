"""Asterisk prompts to and from English: a telephone exchange's announcements by professional voices."""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from aista.corpora.deb import opened
from aista.corpora.preparation import Folder, PreparationReport, Progress, one_line
from aista.corpora.spoken import Sentence, SpokenPreparation
from aista.errors import DataError
from aista.registry import register
from aista.schema import option

__all__ = ["Asterisk"]

PACKAGES = "asterisk-core-sounds-*"
SOUNDS, TEXTS = "usr/share/asterisk/sounds", "usr/share/doc"
ENGLISH = "en_US_f_Allison"
VOICES = {"es": "es_MX_f_Allison", "fr": "fr_CA_f_June", "it": "it_IT_m_Carlo", "ru": "ru_RU_f_IvrvoiceRU"}
SPEAKERS = {"en": ENGLISH, **VOICES}
ABOUT = """\
# {title}

Announcements of the telephone exchange Asterisk, one professional voice per language, recorded at
8 kHz, with transcripts; {translations} of the same names are the translations. Prepared by
`aista data asterisk`.

Source: Debian packages asterisk-core-sounds-*, https://www.asterisk.org; their file copyright names
the voices and translators.
Licence: CC BY-SA 3.0 (English, es, fr), CC BY 3.0 (it, ru)."""
TO_ENGLISH = {"title": "Asterisk prompts -> English", "translations": "the English prompts"}
FROM_ENGLISH = {"title": "Asterisk prompts from English", "translations": "the other languages' prompts"}
# "b come Bologna" and "bravo" serve the same purpose; neither translates the other.
SPELLING = "phonetic/"
_SYMBOL = re.compile(r"\[[^\w\]]*\]")
_BRACKET = re.compile(r"[\[\]()<>]")


@register("dataset", "asterisk")
@dataclass(frozen=True, kw_only=True)
class Asterisk(SpokenPreparation):
    """Asterisk's voice prompts (real telephone speech, 0.3 to 0.4 h per language), from Debian packages.

    Choose it for real AI-STA triples whose recordings fit their transcripts, under a free licence; ``direction: en-x``
    for English speech, which encoders such as Whisper tiny.en know. One voice per language and one domain: not a
    measure of generalisation.
    """

    dataset: ClassVar[str] = "asterisk"
    languages: tuple[str, ...] = option(("fr", "es"), f"Languages beside English: {', '.join(VOICES)}.")
    direction: Literal["x-en", "en-x"] = option(
        "x-en", "Direction: recordings of these languages into English, or English recordings into them."
    )
    num_dev: int = option(50, "English prompts of dev, in every language.", minimum=1, maximum=1_000_000)
    num_test: int = option(100, "English prompts of test.", minimum=1, maximum=1_000_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [language for language in self.languages if language not in VOICES]
        if unknown:
            raise ValueError(f"languages must be among {', '.join(VOICES)}, got {', '.join(unknown)}")

    @property
    def from_english(self) -> bool:
        """Whether English is spoken."""
        return self.direction == "en-x"

    def fill(self, folder: Folder, source: Path | None, progress: Progress) -> PreparationReport:
        """Read, validate and split the recordings.

        ``source`` is the folder of the packages' .deb files, or what they were unpacked or installed to.
        """
        if source is None:
            raise DataError(f"asterisk is read from Debian packages: {self._remedy()}")
        turned = self.from_english
        with opened(source, PACKAGES, [SOUNDS, TEXTS]) as root:
            needed = [path for one in self.languages for path in _paths(root, one, turned)]
            missing = sorted({path.relative_to(root).as_posix() for path in needed if not path.exists()})
            if missing:
                raise DataError(f"--from {source}: no {', no '.join(missing)}; {self._remedy()}")
            there = [one for one in VOICES if all(path.exists() for path in _paths(root, one, turned))]
            sentences = _read_prompts(root, there, turned)
            about = ABOUT.format(**(FROM_ENGLISH if turned else TO_ENGLISH))
            return self.fill_with(folder, sentences, about, progress, from_english=turned)

    def _remedy(self) -> str:
        """Instructions for downloading the packages; a slim system lacks the texts of installed ones."""
        spoken = ("en",) if self.from_english else self.languages
        names = [f"asterisk-core-sounds-{one}" for one in ("en", *self.languages)]
        names += [f"asterisk-core-sounds-{one}-wav" for one in spoken]
        return f"apt-get download {' '.join(names)}, then give the folder with --from"


def _texts_path(root: Path, language: str) -> Path:
    return root / TEXTS / f"asterisk-core-sounds-{language}" / f"core-sounds-{language}.txt.gz"


def _voice(root: Path, language: str, from_english: bool) -> Path:
    """The folder of recordings for the sentences that are translated from or into a language."""
    return root / SOUNDS / SPEAKERS["en" if from_english else language]


def _paths(root: Path, language: str, from_english: bool) -> tuple[Path, Path, Path]:
    return _texts_path(root, "en"), _texts_path(root, language), _voice(root, language, from_english)


def _read_prompts(root: Path, languages: list[str], from_english: bool) -> list[Sentence]:
    """The prompts of all languages that are there, sorted by name."""
    english, english_faults = _read_texts(_texts_path(root, "en"))
    texts = {language: _read_texts(_texts_path(root, language)) for language in languages}
    recordings: dict[str, dict[str, Path]] = {}
    for language in languages:
        folder = _voice(root, language, from_english)
        for path in sorted(folder.rglob("*.wav")):
            recordings.setdefault(path.relative_to(folder).with_suffix("").as_posix(), {})[language] = path
    sentences = []
    for name in sorted(recordings):
        translations = {one: texts[one][0][name] for one in recordings[name] if name in texts[one][0]}
        faults = {one: texts[one][1][name] for one in recordings[name] if name in texts[one][1]}
        if name in english_faults:
            faults = dict.fromkeys(recordings[name], f"English text: {english_faults[name]}")
        if name.startswith(SPELLING):
            faults = dict.fromkeys(recordings[name], "a spelling alphabet, no translation")
        sentences.append(Sentence(name, english.get(name, ""), translations, recordings[name], faults, SPEAKERS))
    return sentences


def _read_texts(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Texts by name from lines ``NAME: TEXT``, and the faults of unusable ones."""
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8-sig").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(
            f"asterisk: {path.name} must be gzip-compressed UTF-8 text ({error}); get the package again"
        ) from None
    texts: dict[str, str] = {}
    faults: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(";"):
            continue
        name, colon, text = (part.strip() for part in line.partition(":"))
        if not colon:
            raise DataError(
                f"asterisk: {path.name}:{number}: lines must be NAME: TEXT, got {line!r}; get the package again"
            )
        text = one_line(_SYMBOL.sub(" ", text))
        if texts.setdefault(name, text) != text:
            faults[name] = "two different texts"
        elif _BRACKET.search(text):
            faults[name] = "a note in brackets"
    return texts, faults
