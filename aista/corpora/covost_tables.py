"""The tables of CoVoST 2 and Common Voice: tab-separated, no quotes, a backslash before what would end a field."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aista.corpora.preparation import one_line
from aista.errors import DataError

__all__ = ["SPLITS", "Entry", "read_splits", "read_transcripts"]

SPLITS = ("train", "dev", "test")
VALIDATED = "validated.tsv"
_ORIGINS = {"train": ("train", "train_covost"), "dev": ("dev",), "test": ("test",)}


class Entry(NamedTuple):
    """A line of a split: the clip's file name, its texts on one line each, and the speaker."""

    clip: str
    transcript: str
    translation: str
    speaker: str


def read_splits(source: Path, pair: str) -> dict[str, list[Entry]]:
    """The three splits of a language pair, e.g. ``en_zh-CN``.

    They are read from ``covost_v2.PAIR.{train,dev,test}.tsv``; or, as CoVoST's own script joins them, from
    ``covost_v2.PAIR.tsv`` and the transcripts of ``validated.tsv``. Clips that this lacks have an empty transcript.

    Raises:
        DataError: the files are not there or have other columns.
    """
    files = {split: source / f"covost_v2.{pair}.{split}.tsv" for split in SPLITS}
    missing = [file for file in files.values() if not file.is_file()]
    if not missing:
        return {split: list(_entries(file)) for split, file in files.items()}
    joint = source / f"covost_v2.{pair}.tsv"
    if len(missing) == len(files) and joint.is_file() and (source / VALIDATED).is_file():
        return _join(joint, source / VALIDATED)
    raise DataError(
        f"--from {source}: holds no {missing[0].name}; put covost_v2.{pair}.tsv, which is in "
        f"https://dl.fbaipublicfiles.com/covost/covost_v2.{pair}.tsv.tar.gz, beside clips/ and {VALIDATED}, or make "
        "the three splits with CoVoST's get_covost_splits.py"
    )


def read_transcripts(source: Path) -> dict[str, str]:
    """Clip -> transcript in Common Voice's ``validated.tsv``; empty where there is no such file."""
    file = source / VALIDATED
    if not file.is_file():
        return {}
    return {_clip(row["path"]): one_line(row["sentence"]) for row in _rows(file, ("path", "sentence"))}


def _entries(file: Path) -> Iterator[Entry]:
    for row in _rows(file, ("path", "sentence", "translation", "client_id")):
        yield Entry(_clip(row["path"]), one_line(row["sentence"]), one_line(row["translation"]), row["client_id"])


def _join(joint: Path, validated: Path) -> dict[str, list[Entry]]:
    spoken = {_clip(row["path"]): row for row in _rows(validated, ("path", "sentence", "client_id"))}
    splits: dict[str, list[Entry]] = {split: [] for split in SPLITS}
    homes = {origin: split for split, origins in _ORIGINS.items() for origin in origins}
    nothing = {"sentence": "", "client_id": ""}
    for row in _rows(joint, ("path", "translation", "split")):
        if row["split"] in homes:
            clip = _clip(row["path"])
            voice = spoken.get(clip, nothing)
            entry = Entry(clip, one_line(voice["sentence"]), one_line(row["translation"]), voice["client_id"])
            splits[homes[row["split"]]].append(entry)
    return splits


def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\", restval="")
            absent = [column for column in columns if column not in (reader.fieldnames or ())]
            if absent:
                raise DataError(
                    f"{file}: needs the columns {', '.join(columns)}, lacks {', '.join(absent)}; it has "
                    f"{', '.join(reader.fieldnames or ()) or 'none'}: get it again"
                )
            for row in reader:
                if None in row:
                    raise DataError(f"{file}:{reader.line_num}: has more fields than the header names; get it again")
                yield row
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is not UTF-8 ({error}); get it again") from None


def _clip(path: str) -> str:
    return path if Path(path).suffix else f"{path}.mp3"
