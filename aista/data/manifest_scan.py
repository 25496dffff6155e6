"""Reads manifests without faults fast, by columns; suspected faults are left to a line-by-line reader."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv
from typing_extensions import override

from aista.data.arrow_file import map_table, read_table, table_writer
from aista.data.manifest_rows import MANIFEST_SAMPLE_RATE, NUMBERS, UNMEASURED, Rows
from aista.data.reading_processes import reading_processes
from aista.data.word_times import check_word_times
from aista.errors import RunError
from aista.files import replacing
from aista.locks import locked
from aista.text import is_blank

__all__ = ["LARGE", "scan_manifest"]

LARGE = 1 << 24
"""Size of a manifest in bytes from which its columns are kept in a file: about 80,000 rows."""

_BLOCK = 1 << 22
_VERSION = "1"
_BOM = b"\xef\xbb\xbf"


def scan_manifest(path: Path, header: Sequence[str], columns: Sequence[str]) -> Rows | None:
    """The rows of a manifest, or None where a line may have a fault.

    Those of a large one are read from ``.NAME.rows.arrow`` beside it, which is written where there is none that was
    made from this very file: the system maps it into memory, once for all processes that read the manifest.

    Args:
        path: The manifest.
        header: The fields of its first line.
        columns: Columns to read, including ``id``, ``audio`` and ``tgt_text``.
    """
    status = path.stat()
    if status.st_size >= LARGE:
        file = path.with_name(f".{path.name}.rows.arrow")
        schema = pa.schema([(name, pa.int64() if name in NUMBERS else pa.string()) for name in _kept(columns)])
        stamp = {"version": _VERSION, "manifest": f"{status.st_size} {status.st_mtime_ns}"}
        if (table := read_table(file, schema, stamp)) is not None:
            return Rows(table)
        # Of several processes one scans. In a folder that cannot be written, rows are held in memory.
        with suppress(OSError, RunError), locked(file.with_suffix(".lock"), file, wait=True):
            table = read_table(file, schema, stamp)
            return Rows(table) if table is not None else _scan_into(file, schema, stamp, path, header, columns)
    tables: list[pa.Table] = []
    is_whole = _scan(path, header, columns, tables.append) and bool(tables)
    table = pa.concat_tables(tables) if is_whole else None
    return Rows(table) if table is not None and _has_distinct_ids(table) else None


def _kept(columns: Sequence[str]) -> list[str]:
    return [*columns, *(name for name in NUMBERS if name not in columns)]


def _scan_into(
    file: Path, schema: pa.Schema, stamp: Mapping[str, str], path: Path, header: Sequence[str], columns: Sequence[str]
) -> Rows | None:
    """Scan a manifest into a file and map that; no file is left if there may be a fault."""
    try:
        with replacing(file) as temporary, reading_processes(1) as process:
            # Its memory goes with it: what a scan takes, an allocator would keep in this process.
            if not process.submit(_write, temporary, schema, stamp, path, header, columns).result():
                raise _Faulty
    except _Faulty:
        return None
    return Rows(map_table(file))


def _write(
    file: Path, schema: pa.Schema, stamp: Mapping[str, str], path: Path, header: Sequence[str], columns: Sequence[str]
) -> bool:
    """Scan a manifest into a file; False where there may be a fault."""
    with table_writer(file, schema, stamp) as writer:
        is_whole = _scan(path, header, columns, writer.write_table)
    return is_whole and _has_distinct_ids(map_table(file))


class _Faulty(Exception):  # noqa: N818 -- leaves a block of `replacing`, nothing else
    pass


def _scan(path: Path, header: Sequence[str], columns: Sequence[str], keep: Callable[[pa.Table], None]) -> bool:
    """Pass on the rows block by block; False where one may have a fault."""
    count = 0
    with path.open("rb", buffering=0) as file:
        source = _Lines(file)
        try:
            for batch in _batches(source, header, columns):
                cleaned = _clean(dict(zip(columns, batch.columns, strict=True)))
                if cleaned is None:
                    return False
                cleaned["line"] = pa.array(np.arange(count + 2, count + 2 + len(batch)))
                keep(pa.table({name: cleaned[name] for name in _kept(columns)}))
                count += len(batch)
        except pa.ArrowInvalid:  # another number of fields, or no UTF-8
            return False
    return count == source.count - 1 and not source.has_bare_returns


def _batches(source: io.RawIOBase, header: Sequence[str], columns: Sequence[str]) -> csv.CSVStreamingReader:
    return csv.open_csv(
        pa.PythonFile(source, mode="r"),
        read_options=csv.ReadOptions(column_names=list(header), skip_rows=1, block_size=_BLOCK, use_threads=False),
        parse_options=csv.ParseOptions(delimiter="\t", quote_char=False, double_quote=False, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), include_columns=list(columns)
        ),
    )


def _has_distinct_ids(table: pa.Table) -> bool:
    return bool(table.num_rows > 0 and len(pc.unique(table["id"])) == table.num_rows)


class _Lines(io.RawIOBase):
    """The bytes of a file without a byte order mark; counts its lines, and the CRs that end none."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._last = b""
        self._returns = self._ends = self._breaks = 0

    @property
    def count(self) -> int:
        """Lines read so far."""
        return self._breaks + (self._last not in (b"", b"\n"))

    @property
    def has_bare_returns(self) -> bool:
        """Whether a CR stood anywhere but before LF."""
        return self._returns > self._ends

    @override
    def readable(self) -> bool:
        return True

    @override
    def read(self, size: int = -1) -> bytes:
        content: bytes = self._file.read(size)
        self._breaks += content.count(b"\n")
        self._returns += content.count(b"\r")
        self._ends += content.count(b"\r\n") + (self._last == b"\r" and content[:1] == b"\n")
        if not self._last:
            content = content.removeprefix(_BOM)
        self._last = content[-1:] or self._last
        return content


def _clean(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """A block's columns stripped, and numbers as such; None where a field has a fault."""
    columns = {name: _stripped(column) for name, column in fields.items()}
    unstated = pc.if_else(pc.equal(columns["audio"], ""), 0, UNMEASURED)
    if "n_frames" in columns:
        frames = columns["n_frames"]
        is_empty = pc.equal(frames, "")
        if not pc.all(pc.or_(is_empty, pc.match_substring_regex(frames, "^[0-9]{1,15}$"))).as_py():
            return None
        unstated = pc.if_else(is_empty, unstated, pc.if_else(is_empty, "0", frames).cast(pa.int64()))
    columns["n_frames"] = unstated.cast(pa.int64())
    if pc.any(pc.equal(columns["id"], "")).as_py() or not _word_times_fit(columns):
        return None
    return columns


def _word_times_fit(columns: Mapping[str, Any]) -> bool:
    if "word_times" not in columns:
        return True
    filled = pc.greater(pc.binary_length(columns["word_times"]), 0)
    frames = columns["n_frames"].filter(filled).to_pylist()
    times = columns["word_times"].filter(filled).to_pylist()
    texts = columns["src_text"].filter(filled).to_pylist() if "src_text" in columns else [""] * len(times)
    try:
        for time, text, samples in zip(times, texts, frames, strict=True):
            check_word_times(time, text, inf if samples == UNMEASURED else samples / MANIFEST_SAMPLE_RATE)
    except ValueError:
        return False
    return True


def _stripped(column: pa.StringArray) -> pa.StringArray:
    """Texts stripped of white space, and empty where they are invisible, as in ``read_manifest``."""
    suspects = np.flatnonzero(_begins_or_ends_oddly(column))
    if not len(suspects):
        return column
    texts = column.take(pa.array(suspects)).to_pylist()
    clean = ["" if is_blank(text) else text.strip() for text in texts]
    if clean == texts:
        return column
    mask = np.zeros(len(column), dtype=np.bool_)
    mask[suspects] = True
    return pc.replace_with_mask(column, pa.array(mask), pa.array(clean, pa.string()))


def _begins_or_ends_oddly(column: pa.StringArray) -> NDArray[np.bool_]:
    """Whether the first or the last byte is not a visible ASCII character; False for empty texts."""
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    filled = bounds[1:] > bounds[:-1]
    if data is None or not filled.any():
        return np.zeros(len(column), dtype=np.bool_)
    bytes_ = np.frombuffer(data, dtype=np.uint8)
    first, last = bytes_[bounds[:-1][filled]], bytes_[bounds[1:][filled] - 1]
    odd = np.zeros(len(column), dtype=np.bool_)
    odd[filled] = (np.minimum(first, last) <= 0x20) | (np.maximum(first, last) >= 0x7F)
    return odd
