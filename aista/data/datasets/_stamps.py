"""Reads the stamps of Tux Paint: recordings beside one text file of descriptions in many languages."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

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
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text).split())


def draw_splits(stamps: Iterable[Stamp], sizes: dict[str, int], rest: str, seed: int) -> dict[str, str]:
    """Give every English description (as ``text_key``) a split; the draw does not depend on who wants which language.

    Descriptions that share a translation in any recorded language stay together.

    Args:
        stamps: All stamps.
        sizes: Descriptions per split, in the order in which splits are filled.
        rest: Split of all others.
        seed: Of the draw.

    Raises:
        DataError: there are too few descriptions.
    """
    groups = _group(stamps)
    total = sum(len(group) for group in groups)
    if sum(sizes.values()) >= total:
        asked = " and ".join(f"num_{split}={size}" for split, size in sizes.items())
        raise DataError(f"tuxpaint: {asked} of {total} English descriptions leave none to train on; lower them")
    Random(f"{seed}/tuxpaint").shuffle(groups)
    splits: dict[str, str] = {}
    for split, size in sizes.items():
        left = size
        for group in groups:
            if len(group) <= left and group[0] not in splits:
                splits.update(dict.fromkeys(group, split))
                left -= len(group)
    return {description: splits.get(description, rest) for group in groups for description in group}


def _group(stamps: Iterable[Stamp]) -> list[list[str]]:
    """English keys, together where stamps share a translation, each group and the list of them sorted."""
    spoken: dict[tuple[str, str], list[str]] = defaultdict(list)
    members: dict[str, list[str]] = {}
    for stamp in stamps:
        english = text_key(stamp.english)
        if not english:
            continue
        members.setdefault(english, [english])
        for language in stamp.recordings:
            translation = text_key(stamp.translations.get(language, ""))
            if translation:
                spoken[language, translation].append(english)
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
    translations = {match["language"]: _clean(match["text"]) for match in matches}
    english = _clean(english)
    return Stamp(name, english, translations, recordings, "" if english else ".txt holds no English description")


def _clean(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
