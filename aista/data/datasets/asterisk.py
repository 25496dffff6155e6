"""Asterisk prompts -> English: a telephone exchange's announcements by professional voices, with transcripts."""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from aista.data.datasets._deb import opened
from aista.data.datasets._spoken import Sentence, SpokenConfig, prepare_spoken
from aista.data.preparation import Folder, PreparationReport, Progress, one_line
from aista.errors import DataError
from aista.registry import register
from aista.schema import option

__all__ = ["Asterisk", "AsteriskConfig"]

PACKAGES = "asterisk-core-sounds-*"
SOUNDS, TEXTS = "usr/share/asterisk/sounds", "usr/share/doc"
VOICES = {"es": "es_MX_f_Allison", "fr": "fr_CA_f_June", "it": "it_IT_m_Carlo", "ru": "ru_RU_f_IvrvoiceRU"}
ABOUT = """\
# Asterisk prompts -> English

Announcements of the telephone exchange Asterisk, one professional voice per language, recorded at
8 kHz, with transcripts; the English prompts of the same names are the translations. Prepared by
`aista data asterisk`.

Source: Debian packages asterisk-core-sounds-*, https://www.asterisk.org; their file copyright names
the voices and translators.
Licence: CC BY-SA 3.0 (es, fr and the English texts), CC BY 3.0 (it, ru)."""
# "b come Bologna" and "bravo" serve the same purpose; neither translates the other.
SPELLING = "phonetic/"
_SYMBOL = re.compile(r"\[[^\w\]]*\]")
_BRACKET = re.compile(r"[\[\]()<>]")


@dataclass(frozen=True, kw_only=True)
class AsteriskConfig(SpokenConfig):
    """Options of the Asterisk preparation. The same options give the same files."""

    languages: tuple[str, ...] = option(("fr", "es"), f"Languages of the speech: {', '.join(VOICES)}.")
    num_dev: int = option(50, "English prompts of dev; each is spoken in every language.", minimum=1)
    num_test: int = option(100, "English prompts of test.", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [language for language in self.languages if language not in VOICES]
        if unknown:
            raise ValueError(f"languages must be among {', '.join(VOICES)}, got {', '.join(unknown)}")


@register("dataset", "asterisk", config=AsteriskConfig)
class Asterisk:
    """Asterisk's voice prompts (real telephone speech, 0.3 to 0.4 h per language), from Debian packages.

    Choose it for real AI-STA triples whose recordings fit their transcripts, under a free licence. One
    voice per language and one domain: no measure of how well a model generalises.
    """

    def __init__(self, config: AsteriskConfig) -> None:
        self.config = config

    def prepare(self, out: Path, *, source: Path | None = None, progress: Progress | None = None) -> PreparationReport:
        """Read, validate and split the recordings into ``out``.

        A folder that is complete is verified and left alone; an interrupted one is continued.

        Args:
            out: Folder to create.
            source: Folder of the packages' .deb files, or what they were unpacked or installed to; not
                needed once complete.
            progress: Called as ``progress(stage, done, total)``.

        Raises:
            DataError: ``source`` lacks a package, ``out`` holds something else or was changed, or too
                few rows remain.
        """
        folder = Folder(out, "asterisk", asdict(self.config))
        finished = folder.finished()
        if finished is not None:
            return finished
        if source is None:
            raise DataError(f"asterisk is read from Debian packages: {self._remedy()}")
        with opened(source, PACKAGES, [SOUNDS, TEXTS]) as root:
            needed = [_texts_path(root, "en"), *(path for one in self.config.languages for path in _paths(root, one))]
            missing = [path.relative_to(root).as_posix() for path in needed if not path.exists()]
            if missing:
                raise DataError(f"--from {source}: no {', no '.join(missing)}; {self._remedy()}")
            sentences = _read_prompts(root, [one for one in VOICES if all(path.exists() for path in _paths(root, one))])
            return prepare_spoken("asterisk", sentences, folder, self.config, ABOUT, progress)

    def _remedy(self) -> str:
        """How to get the packages. They are small; a slim system lacks the texts of those that it has installed."""
        names = [f"asterisk-core-sounds-{one}{kind}" for one in self.config.languages for kind in ("", "-wav")]
        return f"apt-get download asterisk-core-sounds-en {' '.join(names)}, then give the folder with --from"


def _texts_path(root: Path, language: str) -> Path:
    return root / TEXTS / f"asterisk-core-sounds-{language}" / f"core-sounds-{language}.txt.gz"


def _paths(root: Path, language: str) -> tuple[Path, Path]:
    return _texts_path(root, language), root / SOUNDS / VOICES[language]


def _read_prompts(root: Path, languages: list[str]) -> list[Sentence]:
    """The prompts of all languages that are there, sorted by name."""
    english, english_faults = _read_texts(_texts_path(root, "en"))
    texts = {language: _read_texts(_texts_path(root, language)) for language in languages}
    recordings: dict[str, dict[str, Path]] = {}
    for language in languages:
        folder = _paths(root, language)[1]
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
        sentence = Sentence(name, english.get(name, ""), translations, recordings[name], faults, VOICES)
        sentences.append(sentence)
    return sentences


def _read_texts(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Texts by name from lines ``NAME: TEXT``, and what is wrong with those that cannot be used."""
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
