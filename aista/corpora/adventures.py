"""Adventure games: English dialogue spoken by actors, with the games' translations."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from aista.corpora.deb import opened
from aista.corpora.games import amazon_queen, drascula, steel_sky
from aista.corpora.preparation import Folder, PreparationReport, Progress
from aista.corpora.spoken import TRANSCRIPT_ONLY, Sentence, SpokenPreparation
from aista.errors import DataError
from aista.registry import register
from aista.schema import option

__all__ = ["Adventures"]

TRANSLATIONS = tuple(sorted(set(drascula.LANGUAGES) - {"en"}))
NO_CODE = "Beneath a Steel Sky: the code of its texts is not in the package"
NO_LINE = "Drascula: a sound that belongs to no line of dialogue"
NO_TEXT = "Drascula: the line of dialogue is empty"
NO_SEGMENT = "Amazon Queen: a sound without a text"
ABOUT = """\
# English adventure games

English dialogue spoken by actors, from freely distributable adventure games, with the games' own
translations. Prepared by `aista data adventures`; the texts of Drascula, in capitals in the game, were
lower-cased and given sentence case by rule, and all audio was converted: a modified version.

Source: Debian packages {packages}.
Drascula: (C) 1996-2008 Alcachofa Soft S.L.{amazon_queen}
Licence, of both games in the same words: free to distribute with its notices, also modified with a prominent
notice, also within a larger distribution that is sold; not to be sold by itself. The packages say:

{notice}"""
AMAZON_QUEEN = "\nFlight of the Amazon Queen: (C) 1995 John Passfield and Steven Stamatiadis."


@register("dataset", "adventures")
@dataclass(frozen=True, kw_only=True)
class Adventures(SpokenPreparation):
    """Adventure games: 0.8 h of acted English with translations, 4.5 h more with transcripts, from Debian packages.

    Choose it for real English triples with human translations into up to five languages, and for ``hear_en.tsv``,
    English speech with transcripts to learn to use the audio. The translations are free, the voices few and shared
    by all splits: not a measure of generalisation.
    """

    dataset: ClassVar[str] = "adventures"
    languages: tuple[str, ...] = option(("fr", "de"), f"Languages of the translations: {', '.join(TRANSLATIONS)}.")
    num_dev: int = option(45, "English lines of dev, in every language.", minimum=1, maximum=1_000_000)
    num_test: int = option(90, "English lines of test.", minimum=1, maximum=1_000_000)
    amazon_queen: bool = option(
        True, "Read Flight of the Amazon Queen too: English with transcripts and no translations, for hear_en.tsv."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [language for language in self.languages if language not in TRANSLATIONS]
        if unknown:
            raise ValueError(f"languages must be among {', '.join(TRANSLATIONS)}, got {', '.join(unknown)}")

    def fill(self, folder: Folder, source: Path | None, progress: Progress) -> PreparationReport:
        """Read, validate and split the recordings.

        ``source`` is the folder of the packages' .deb files, or what they were unpacked or installed to.
        """
        packages = [drascula.PACKAGE] + [amazon_queen.PACKAGE] * self.amazon_queen
        remedy = f"apt-get download {' '.join(packages)}, then give the folder with --from"
        if source is None:
            raise DataError(f"adventures is read from Debian packages: {remedy}")
        dropped: dict[str, list[str]] = defaultdict(list)
        with ExitStack() as stack:
            lines, notice = _open(stack, source, drascula.PACKAGE, drascula.FOLDER)
            missing = [drascula.PACKAGE] * (not (lines / drascula.TEXTS).is_file())
            if self.amazon_queen:
                archive, other_notice = _open(stack, source, amazon_queen.PACKAGE, amazon_queen.FILE)
                missing += [amazon_queen.PACKAGE] * (not archive.is_file())
                notice = f"{notice}\n\n{other_notice}"
            if missing:
                raise DataError(f"--from {source}: no package {', no package '.join(missing)}; {remedy}")
            index, _ = _open(stack, source, steel_sky.PACKAGE, steel_sky.FILE)
            if index.is_file():
                dropped[NO_CODE] = [f"bass_{number}" for number in steel_sky.spoken_entries(index)]
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aista-")))
            sentences = _read_drascula(lines, work, dropped)
            transcribed = _read_amazon_queen(archive, work, dropped) if self.amazon_queen else None
            queen = AMAZON_QUEEN * self.amazon_queen
            about = ABOUT.format(packages=", ".join(packages), amazon_queen=queen, notice=notice)
            return self.fill_with(
                folder, sentences, about, progress, from_english=True, transcribed=transcribed, dropped=dropped
            )


def _open(stack: ExitStack, source: Path, package: str, files: str) -> tuple[Path, str]:
    """The places of a package's files and of its copyright notice, which slim systems lack."""
    notice = f"usr/share/doc/{package}/copyright"
    root = stack.enter_context(opened(source, package, [files, notice]))
    text = (root / notice).read_text("utf-8", errors="replace") if (root / notice).is_file() else ""
    return root / files, "\n".join(f"    {line}".rstrip() for line in (text or f"(no {notice})").splitlines())


def _read_drascula(folder: Path, work: Path, dropped: Mapping[str, list[str]]) -> list[Sentence]:
    """The spoken lines, sorted by name; their recordings are written to ``work``."""
    texts = drascula.read_texts(folder / drascula.TEXTS)
    sentences = []
    for path in sorted(folder.glob("*.ALS")):
        name = f"dras_{path.stem}"
        line = drascula.sentence_texts(texts.get(path.stem, {}))
        if not line.get("en"):
            dropped[NO_TEXT if path.stem in texts else NO_LINE].append(name)
            continue
        recording = work / f"{name}.wav"
        drascula.write_wav(path, recording)
        translations = {language: line[language] for language in TRANSLATIONS}
        recordings = dict.fromkeys(TRANSLATIONS, recording)
        sentences.append(Sentence(name, line["en"], translations, recordings, {}, {"en": drascula.PACKAGE}))
    return sentences


def _read_amazon_queen(path: Path, work: Path, dropped: Mapping[str, list[str]]) -> list[Sentence]:
    """The spoken segments, sorted by name; their recordings are written to ``work``."""
    archive = amazon_queen.read_archive(path)
    segments = amazon_queen.read_segments(archive)
    sentences = []
    for file in sorted(archive.places):
        stem = file.removesuffix(amazon_queen.SOUND)
        if stem == file:
            continue
        name = f"fotaq_{stem}"
        if stem not in segments:
            dropped[NO_SEGMENT].append(name)
            continue
        recording = work / f"{name}.mp3"
        recording.write_bytes(archive.read(file))
        sentences.append(Sentence(name, segments[stem], {}, {TRANSCRIPT_ONLY: recording}, {}, {"en": "fotaq"}))
    return sentences
