"""The tables of Common Voice and CoVoST 2: tab-separated, no quotes, a backslash before what would end a field."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aista.data.sources.corpus_files import open_text
from aista.errors import DataError

__all__ = ["SPLITS", "VALIDATED", "Clip", "covost_pairs", "read_clips", "read_translations"]

SPLITS = ("train", "dev", "test")
VALIDATED = "validated.tsv"
_LONGEST_FIELD = 1 << 24
_ORIGINS = {"train": ("train", "train_covost"), "dev": ("dev",), "test": ("test",)}


class Clip(NamedTuple):
    """A line of a table: where it stands, the clip's file name, its texts as they are, the speaker, its language.

    ``fault`` says why it cannot be read; "" where it can.
    """

    place: str
    file: str = ""
    transcript: str = ""
    translation: str = ""
    speaker: str = ""
    language: str = ""
    fault: str = ""


def read_clips(table: Path) -> Iterator[Clip]:
    """The clips of one of Common Voice's own tables, of any version.

    Raises:
        DataError: it has other columns, or is not UTF-8.
    """
    for place, row, fault in _rows(table, ("path", "sentence", "client_id")):
        if fault:
            yield Clip(place, fault=fault)
        else:
            file, language = _file(row["path"]), row.get("locale", "")
            yield Clip(place, file, row["sentence"], speaker=row["client_id"], language=language)


def covost_pairs(folder: Path) -> list[tuple[str, str]]:
    """The pairs of languages whose tables of CoVoST lie in a folder."""
    names = [file.name.split(".")[1].partition("_") for file in folder.glob("covost_v2.*_*.tsv")]
    return sorted({(source, target) for source, _, target in names})


def read_translations(folder: Path, pair: tuple[str, str], split: str) -> Iterator[Clip]:
    """The clips of a split with their translations.

    They are read from ``covost_v2.en_zh-CN.train.tsv``; or, as CoVoST's own script joins them, from
    ``covost_v2.en_zh-CN.tsv`` and the transcripts of ``validated.tsv``, where a clip that this lacks is a fault.

    Raises:
        DataError: the files are not there or have other columns.
    """
    stem = f"covost_v2.{'_'.join(pair)}"
    own = folder / f"{stem}.{split}.tsv"
    joint, validated = folder / f"{stem}.tsv", folder / VALIDATED
    if own.is_file():
        yield from _of_split(own)
    elif (
        joint.is_file()
        and validated.is_file()
        and not any((folder / f"{stem}.{name}.tsv").is_file() for name in SPLITS)
    ):
        yield from _joined(joint, validated, split)
    else:
        raise DataError(
            f"--from {folder}: holds no {own.name}; put {joint.name}, which is in "
            f"https://dl.fbaipublicfiles.com/covost/{joint.name}.tar.gz, beside clips/ and {VALIDATED}, or make "
            "the three splits with CoVoST's get_covost_splits.py"
        )


def _of_split(table: Path) -> Iterator[Clip]:
    for place, row, fault in _rows(table, ("path", "sentence", "translation", "client_id")):
        if fault:
            yield Clip(place, fault=fault)
        else:
            yield Clip(place, _file(row["path"]), row["sentence"], row["translation"], row["client_id"])


def _joined(joint: Path, validated: Path, split: str) -> Iterator[Clip]:
    wanted: dict[str, tuple[str, str] | None] = {}
    for _, row, fault in _rows(joint, ("path", "translation", "split")):
        if not fault and row["split"] in _ORIGINS[split]:
            wanted[_file(row["path"])] = None
    for clip in read_clips(validated):
        if clip.file in wanted:
            wanted[clip.file] = clip.transcript, clip.speaker
    for place, row, fault in _rows(joint, ("path", "translation", "split")):
        if fault:
            yield Clip(place, fault=fault)
        elif row["split"] in _ORIGINS[split]:
            file = _file(row["path"])
            transcript, speaker = wanted[file] or ("", "")
            lacks = "" if wanted[file] else f"{VALIDATED} lacks its clip; CoVoST 2 is made of Common Voice 4"
            yield Clip(place, file, transcript, row["translation"], speaker, fault=lacks)


def _rows(table: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str], str]]:
    """Place, fields by column, and fault of each line."""
    csv.field_size_limit(_LONGEST_FIELD)
    with open_text(table, newline="\n") as stream:
        reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
        names = next(reader, [])
        absent = [column for column in columns if column not in names]
        if absent:
            raise DataError(
                f"{table}: needs the columns {', '.join(columns)}, lacks {', '.join(absent)}; it has "
                f"{', '.join(names) or 'none'}: get it again"
            )
        while True:
            try:
                values = next(reader, None)
            except csv.Error as error:
                yield f"{table.name}:{reader.line_num}", {}, f"not a line of the table ({error})"
                continue
            if values is None:
                return
            if values:
                fault = "" if len(values) == len(names) else f"{len(values)} fields where the columns are {len(names)}"
                yield f"{table.name}:{reader.line_num}", dict(zip(names, values, strict=False)), fault


def _file(path: str) -> str:
    return path if Path(path).suffix else f"{path}.mp3"
