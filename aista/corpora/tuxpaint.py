"""Tux Paint stamps -> English: short descriptions spoken by volunteers, with people's translations."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from aista.corpora.deb import opened
from aista.corpora.preparation import Folder, PreparationReport, Progress, one_line
from aista.corpora.spoken import Sentence, SpokenPreparation
from aista.errors import DataError
from aista.registry import register
from aista.schema import option

__all__ = ["Tuxpaint"]

PACKAGE = "tuxpaint-stamps-default"
ROOT = "usr/share/tuxpaint/stamps"
ABOUT = f"""\
# Tux Paint stamps -> English

Descriptions of the stamps of Tux Paint, a drawing program for children: spoken by volunteers, with
transcripts and English translations. The English is the original, the transcripts are its
translations by people; nobody has checked every recording against its transcript. Prepared by
`aista data tuxpaint`.

Source: Debian package {PACKAGE}, https://tuxpaint.org; its changelog names the contributors.
Licence: GPL-2 as the package. What is passed on of this folder stays under it."""
_RECORDING = re.compile(r"(?P<stem>.+)_desc_(?P<language>[A-Za-z_]+)\.(?:ogg|wav)")
_TRANSLATION = re.compile(r"(?P<language>[\w@]+)\.utf8=(?P<text>.*)")


@register("dataset", "tuxpaint")
@dataclass(frozen=True, kw_only=True)
class Tuxpaint(SpokenPreparation):
    """Tux Paint's spoken stamp descriptions (real speech, about 0.3 h per language), from a Debian package.

    Choose it for real AI-STA triples under a free licence that download in a minute, and to compare
    languages on the same sentences. They are short and few: expect to need pretrained parts.
    """

    dataset: ClassVar[str] = "tuxpaint"
    languages: tuple[str, ...] = option(
        ("fr", "es"), "Languages of the speech: be, bg, ca, da, el, es, fr, nl, ro, ru; see docs/corpora.md."
    )

    def fill(self, folder: Folder, source: Path | None, progress: Progress) -> PreparationReport:
        """Read, validate and split the recordings; ``source`` is the package, unpacked or not, or its stamps."""
        if source is None:
            raise DataError(
                f"tuxpaint is read from the Debian package {PACKAGE}: apt-get download {PACKAGE}, "
                "then give the file with --from"
            )
        with opened(source, PACKAGE, [ROOT]) as root:
            sentences = _read_stamps(root / ROOT if (root / ROOT).is_dir() else root)
            recorded = {language for sentence in sentences for language in sentence.recordings}
            if not recorded:
                raise DataError(f"--from {source}: no spoken descriptions (NAME_desc_LANGUAGE.ogg); is it {PACKAGE}?")
            unknown = [language for language in self.languages if language not in recorded]
            if unknown:
                raise DataError(
                    f"tuxpaint: languages must have recordings in --from {source}, got {', '.join(unknown)}; "
                    f"there are {', '.join(sorted(recorded))}"
                )
            return self.fill_with(folder, sentences, ABOUT, progress)


def _read_stamps(root: Path) -> list[Sentence]:
    """The stamps below ``root`` that have a spoken description, sorted by name."""
    recordings: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in sorted(root.rglob("*_desc_*")):
        match = _RECORDING.fullmatch(path.name)
        if match is not None:
            name = (path.parent / match["stem"]).relative_to(root).as_posix()
            recordings[name][match["language"]] = path
    return [_read_stamp(root, name, recordings[name]) for name in sorted(recordings)]


def _read_stamp(root: Path, name: str, recordings: dict[str, Path]) -> Sentence:
    """A stamp's text file: English on the first line, then ``LANGUAGE.utf8=TRANSLATION`` on each."""
    path, fault, lines = root / f"{name}.txt", "", [""]
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines() or [""]
    except FileNotFoundError:
        fault = "no .txt file"
    except UnicodeDecodeError:
        fault = ".txt is not UTF-8"
    matches = [match for line in lines[1:] if (match := _TRANSLATION.fullmatch(line))]
    translations = {match["language"]: one_line(match["text"]) for match in matches}
    faults = dict.fromkeys(recordings, fault) if fault else {}
    return Sentence(name, one_line(lines[0]), translations, recordings, faults, speakers={})
