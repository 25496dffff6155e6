"""The tables of Common Voice and CoVoST 2: tab-separated, no quotes, a backslash before what would end a field."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from aista.data.sources.corpus_files import open_text
from aista.errors import DataError

__all__ = ["SPLITS", "VALIDATED", "Clip", "covost_pairs", "read_clips", "read_translations"]

SPLITS = ("train", "dev", "test")
VALIDATED = "validated.tsv"
_LONGEST_FIELD = 1 << 24
Line = tuple[str, dict[str, str], str]
"""Place, fields by column, and fault of a line."""
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
    """The clips of one of Common Voice's own tables, of any version; the columns are checked at once.

    Raises:
        DataError: it has other columns, or is not UTF-8.
    """
    return (
        Clip(place, _file(row["path"]), row["sentence"], "", row["client_id"], row.get("locale", ""))
        if not fault
        else Clip(place, fault=fault)
        for place, row, fault in _rows(table, ("path", "sentence", "client_id"))
    )


def covost_pairs(folder: Path) -> list[tuple[str, str]]:
    """The pairs of languages whose tables of CoVoST lie in a folder."""
    names = [file.name.split(".")[1].partition("_") for file in folder.glob("covost_v2.*_*.tsv")]
    return sorted({(source, target) for source, _, target in names})


def read_translations(folder: Path, pair: tuple[str, str], split: str) -> Iterator[Clip]:
    """The clips of a split with their translations; files and columns are checked at once.

    They are read from ``covost_v2.en_zh-CN.train.tsv``; or, as CoVoST's own script joins them, from
    ``covost_v2.en_zh-CN.tsv`` and the transcripts of ``validated.tsv``, where a clip that this lacks is a fault.

    Raises:
        DataError: the files are not there or have other columns.
    """
    stem = f"covost_v2.{'_'.join(pair)}"
    own = {name: folder / f"{stem}.{name}.tsv" for name in SPLITS}
    joint, validated = folder / f"{stem}.tsv", folder / VALIDATED
    if own[split].is_file():
        return _of_split(own[split])
    if joint.is_file() and validated.is_file() and not any(file.is_file() for file in own.values()):
        return _joined(joint, validated, split)
    raise DataError(
        f"--from {folder}: holds no {own[split].name}; put {joint.name}, which is in "
        f"https://dl.fbaipublicfiles.com/covost/{joint.name}.tar.gz, beside clips/ and {VALIDATED}, or make "
        "the three splits with CoVoST's get_covost_splits.py"
    )


def _of_split(table: Path) -> Iterator[Clip]:
    return (
        Clip(place, _file(row["path"]), row["sentence"], row["translation"], row["client_id"])
        if not fault
        else Clip(place, fault=fault)
        for place, row, fault in _rows(table, ("path", "sentence", "translation", "client_id"))
    )


def _joined(joint: Path, validated: Path, split: str) -> Iterator[Clip]:
    rows, voices = _rows(joint, ("path", "translation", "split")), read_clips(validated)
    return _join(joint, rows, voices, split)


def _join(joint: Path, rows: Iterator[Line], voices: Iterator[Clip], split: str) -> Iterator[Clip]:
    """Reads the joint table twice: to know which voices to keep, and to give them out in its order."""
    wanted = {_file(row["path"]) for _, row, fault in rows if not fault and row["split"] in _ORIGINS[split]}
    spoken = {clip.file: clip for clip in voices if clip.file in wanted}
    for place, row, fault in _rows(joint, ("path", "translation", "split")):
        if fault:
            yield Clip(place, fault=fault)
        elif row["split"] in _ORIGINS[split]:
            file = _file(row["path"])
            if (voice := spoken.get(file)) is None:
                yield Clip(place, file, fault=f"{VALIDATED} lacks its clip; CoVoST 2 is made of Common Voice 4")
            else:
                yield Clip(place, file, voice.transcript, row["translation"], voice.speaker)


def _rows(table: Path, columns: tuple[str, ...]) -> Iterator[Line]:
    with open_text(table, newline="\n") as stream:
        names: list[str] = next(_reader(stream), [])
    absent = [column for column in columns if column not in names]
    if absent:
        raise DataError(
            f"{table}: needs the columns {', '.join(columns)}, lacks {', '.join(absent)}; it has "
            f"{', '.join(names) or 'none'}: get it again"
        )
    return _lines(table, names)


def _lines(table: Path, names: list[str]) -> Iterator[Line]:
    with open_text(table, newline="\n") as stream:
        reader = _reader(stream)
        next(reader)
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


def _reader(stream: IO[str]) -> Any:
    csv.field_size_limit(_LONGEST_FIELD)
    return csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")


def _file(path: str) -> str:
    return path if Path(path).suffix else f"{path}.mp3"
