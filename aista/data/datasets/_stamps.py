"""Reads the stamps of Tux Paint: recordings beside one text file of descriptions in many languages."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from aista.data.preparation import one_line
from aista.errors import DataError

__all__ = ["Stamp", "draw_splits", "read_stamps", "text_key"]

_RECORDING = re.compile(r"(?P<stem>.+)_desc_(?P<language>[A-Za-z_]+)\.(?:ogg|wav)")
_TRANSLATION = re.compile(r"(?P<language>[\w@]+)\.utf8=(?P<text>.*)")


@dataclass(frozen=True)
class Stamp:
    """One picture: what it shows, in English and in other languages, and who says so.

    Attributes:
        name: Path below the stamps' folder, without an extension.
        english: Description; "" if ``fault`` says why there is none.
        translations: Description by language.
        recordings: File with the spoken description, by language.
        fault: What is wrong with the text file, or "".
    """

    name: str
    english: str
    translations: dict[str, str]
    recordings: dict[str, Path]
    fault: str = ""


def read_stamps(root: Path) -> list[Stamp]:
    """The stamps below ``root`` that have a spoken description, sorted by name."""
    recordings: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in sorted(root.rglob("*_desc_*")):
        match = _RECORDING.fullmatch(path.name)
        if match is not None:
            name = (path.parent / match["stem"]).relative_to(root).as_posix()
            recordings[name][match["language"]] = path
    return [_read_stamp(root, name, recordings[name]) for name in sorted(recordings)]


def text_key(text: str) -> str:
    """What two texts share that differ in case, punctuation or spacing alone."""
    text = unicodedata.normalize("NFKC", text).casefold()
    # Letters, marks (vowels in Indic scripts) and numbers.
    return " ".join("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text).split())


def draw_splits(stamps: Iterable[Stamp], sizes: Mapping[str, int], rest: str, seed: int) -> dict[str, str]:
    """Give every English description, as ``text_key``, a split.

    Descriptions stay together that have a translation in common, in or across the languages they were
    recorded in: so no split shares a text with another, and the draw is the same whichever languages are used.

    Args:
        stamps: All stamps.
        sizes: Descriptions per split, in the order in which the splits are filled.
        rest: Split of all others.
        seed: Of the draw.

    Raises:
        DataError: there are too few descriptions.
    """
    groups = _group(stamps)
    Random(f"{seed}/tuxpaint").shuffle(groups)
    splits: dict[str, str] = {}
    for split, size in sizes.items():
        left = size
        for group in groups:
            if len(group) <= left and group[0] not in splits:
                splits.update(dict.fromkeys(group, split))
                left -= len(group)
        if left or len(splits) == sum(map(len, groups)):
            total = sum(map(len, groups))
            raise DataError(f"tuxpaint: num_{split}={size} of {total} English descriptions is too many; lower it")
    return {description: splits.get(description, rest) for group in groups for description in group}


def _group(stamps: Iterable[Stamp]) -> list[list[str]]:
    """English keys, together where stamps share a translation, each group and the list of them sorted."""
    spoken: dict[str, list[str]] = defaultdict(list)
    members: dict[str, list[str]] = {}
    for stamp in stamps:
        english = text_key(stamp.english)
        if not english:
            continue
        members.setdefault(english, [english])
        for language in stamp.recordings:
            translation = text_key(stamp.translations.get(language, ""))
            if translation:
                spoken[translation].append(english)
    for first, *others in spoken.values():
        for other in others:
            if members[other] is not members[first]:
                members[first] += members[other]
                members.update(dict.fromkeys(members[other], members[first]))
    return sorted({id(group): sorted(group) for group in members.values()}.values())


def _read_stamp(root: Path, name: str, recordings: dict[str, Path]) -> Stamp:
    path = root / f"{name}.txt"
    if not path.is_file():
        return Stamp(name, "", {}, recordings, "no .txt file")
    try:
        english, *lines = path.read_bytes().decode("utf-8-sig").splitlines() or [""]
    except UnicodeDecodeError:
        return Stamp(name, "", {}, recordings, ".txt is not UTF-8")
    matches = [match for line in lines if (match := _TRANSLATION.fullmatch(line))]
    translations = {match["language"]: one_line(match["text"]) for match in matches}
    english = one_line(english)
    return Stamp(name, english, translations, recordings, "" if english else ".txt has no English description")
