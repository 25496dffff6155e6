"""Manifests: fairseq-style TSV files that list utterances. See docs/manifest.md for the format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from aista.data.manifest_rows import MANIFEST_SAMPLE_RATE, UNMEASURED, Row, Rows
from aista.data.manifest_scan import scan_manifest
from aista.data.word_times import check_word_times
from aista.errors import DataError
from aista.files import write_text
from aista.text import is_blank, read_lines

__all__ = [
    "COLUMNS",
    "MANIFEST_SAMPLE_RATE",
    "REQUIRED_COLUMNS",
    "UNMEASURED",
    "Manifest",
    "Row",
    "manifest_line",
    "read_manifest",
    "write_manifest",
]

REQUIRED_COLUMNS = ("id", "audio", "tgt_text")
COLUMNS = ("id", "audio", "n_frames", "tgt_text", "speaker", "src_text", "src_lang", "tgt_lang", "word_times", "task")
_RARE_COLUMNS = ("word_times", "task")  # written only where a row has a value

_SHOWN_FAULTS = 20


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read: its path, its rows in the file's order, and the columns that are not read."""

    path: Path
    rows: Rows
    unknown_columns: tuple[str, ...] = ()

    @property
    def base(self) -> Path:
        """Folder that relative audio paths start from."""
        return self.path.parent


def read_manifest(path: Path) -> Manifest:
    """Read a manifest strictly.

    Raises:
        DataError: the file cannot be read or is not UTF-8, or with every format fault together: missing or
            repeated columns, a wrong number of fields, an empty or repeated id, a bad ``n_frames``, bad ``word_times``.
    """
    path = Path(path)
    if (rows := _scan(path)) is not None:
        return rows
    return _read_strictly(path)


def _scan(path: Path) -> Manifest | None:
    """Read the manifest by columns; None where a fault is suspected, so that it must be read line by line."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            header = file.readline().decode("utf-8-sig").rstrip("\r\n").split("\t")
    except (OSError, ValueError):
        return None
    known = [name for name in header if name in COLUMNS]
    if len(set(header)) < len(header) or not set(REQUIRED_COLUMNS) <= set(known):
        return None
    rows = scan_manifest(path, header, known)
    return None if rows is None else Manifest(path, rows, tuple(name for name in header if name not in COLUMNS))


def _read_strictly(path: Path) -> Manifest:
    """Read the manifest line by line, with a message for every fault."""
    lines = read_lines(path, "no such manifest; paths in a config are relative to the current folder")
    if not lines:
        raise DataError(f"{path}: the manifest is empty; its first line names the columns: {', '.join(COLUMNS)}")
    faults: list[str] = []
    header = lines[0].split("\t")
    _check_header(path, header, faults)
    rows: list[Row] = []
    first_seen: dict[str, int] = {}
    if not faults:
        for number, line in enumerate(lines[1:], start=2):
            row = _parse_row(f"{path}:{number}", number, header, line, faults)
            if row is None:
                continue
            rows.append(row)
            if first_seen.setdefault(row.id, number) != number:
                faults.append(
                    f"{path}:{number}: ids must be unique, got {row.id!r} again (first on line {first_seen[row.id]}); "
                    "rename or remove one"
                )
        if len(lines) == 1:
            faults.append(f"{path}:1: must have rows below the columns' names, got none; prepare it again")
    if faults:
        raise DataError(_report(path, faults))
    return Manifest(path, Rows.of(rows), tuple(name for name in header if name not in COLUMNS))


def write_manifest(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as a manifest, atomically, with all columns; word times and tasks only where there are some.

    Raises:
        DataError: a text holds a tab or a line break, which the format has no way to write.
    """
    rows = list(rows)
    columns = [name for name in COLUMNS if name not in _RARE_COLUMNS or any(getattr(row, name) for row in rows)]
    lines = ["\t".join(columns), *(manifest_line(path, row, columns) for row in rows)]
    write_text(Path(path), "\n".join(lines) + "\n")


def manifest_line(path: Path, row: Row, columns: Sequence[str]) -> str:
    """A row as a line of the manifest ``path``. Raises DataError for a text with a tab or a line break."""
    values = [_cell(row, column) for column in columns]
    for column, value in zip(columns, values, strict=True):
        if any(character in value for character in "\t\n\r"):
            raise DataError(
                f"{path}: row {row.id!r}: {column} must hold no tab and no line break, got {value!r}; "
                "replace them by spaces"
            )
    return "\t".join(values)


def _cell(row: Row, column: str) -> str:
    value = getattr(row, column)
    return "" if column == "n_frames" and value == UNMEASURED else str(value)


def _check_header(path: Path, header: list[str], faults: list[str]) -> None:
    missing = [name for name in REQUIRED_COLUMNS if name not in header]
    if missing:
        faults.append(
            f"{path}:1: the header must name the columns {', '.join(REQUIRED_COLUMNS)}, tab-separated; "
            f"missing: {', '.join(missing)}; got {header!r}"
        )
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        faults.append(f"{path}:1: columns must be named once, got {', '.join(map(repr, repeated))} more than once")


def _parse_row(place: str, number: int, header: list[str], line: str, faults: list[str]) -> Row | None:
    fields = line.split("\t")
    if len(fields) != len(header):
        faults.append(
            f"{place}: expects {len(header)} tab-separated fields as in the header, got {len(fields)}: "
            f"{_shorten(line)}; there is no quoting, so remove tabs and line breaks inside texts"
        )
        return None
    cells = {name: field for name, field in zip(header, fields, strict=True) if name in COLUMNS}
    values = {name: "" if is_blank(cell) else cell.strip() for name, cell in cells.items()}
    before = len(faults)
    if "\r" in line:
        faults.append(f"{place}: a text must hold no line break, got CR in {_shorten(line)}; replace it by a space")
    if not values["id"]:
        faults.append(f"{place}: id must not be empty; name the utterance")
    n_frames = values.pop("n_frames", "")
    if n_frames and not re.fullmatch("[0-9]{1,15}", n_frames):
        faults.append(
            f"{place}: n_frames must be a whole number of samples at {MANIFEST_SAMPLE_RATE} Hz, got "
            f"{_shorten(n_frames)}; write seconds * 16000, rounded, or leave it empty: it is measured"
        )
    if len(faults) > before:
        return None
    row = Row(**values, n_frames=int(n_frames or (UNMEASURED if values["audio"] else 0)), line=number)
    try:
        if row.word_times:
            check_word_times(row.word_times, row.src_text, inf if row.n_frames == UNMEASURED else row.seconds)
    except ValueError as error:
        faults.append(f"{place}: word_times: {error}; correct it or leave it empty")
    return row if len(faults) == before else None


def _shorten(text: str, size: int = 80) -> str:
    return repr(text if len(text) <= size else text[:size] + "...")


def _report(path: Path, faults: list[str]) -> str:
    count = f"{len(faults)} format fault" + ("s" if len(faults) != 1 else "")
    lines = [f"{path}: {count}", *(f"  {fault}" for fault in faults[:_SHOWN_FAULTS])]
    if len(faults) > _SHOWN_FAULTS:
        lines.append(f"  ... and {len(faults) - _SHOWN_FAULTS} more")
    return "\n".join(lines)
