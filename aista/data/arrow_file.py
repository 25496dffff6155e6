"""Arrow tables in files: mapped into memory, and refused where they are damaged or of another schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

__all__ = ["map_table", "read_table", "table_writer"]

Stamp = Mapping[str, str]


def read_table(file: Path, schema: pa.Schema, stamp: Stamp) -> pa.Table | None:
    """Map the table of a file into memory; None where the file has another schema or stamp, or is missing."""
    try:
        table = map_table(file)
        table.validate()
    except (OSError, ValueError, pa.ArrowException):
        return None
    is_ours = table.schema.equals(_stamped(schema, stamp), check_metadata=True)
    return table if is_ours and all(_is_sound(part) for column in table.columns for part in column.chunks) else None


def map_table(file: Path) -> pa.Table:
    """Map the table of a file that this process has just written, without checks."""
    return pa.ipc.open_file(pa.memory_map(str(file))).read_all()


def table_writer(file: Path, schema: pa.Schema, stamp: Stamp) -> pa.RecordBatchFileWriter:
    """Writes tables of the schema, one after the other; use it in a ``with``, on a path of ``files.replacing``."""
    return pa.ipc.new_file(str(file), _stamped(schema, stamp))


def _stamped(schema: pa.Schema, stamp: Stamp) -> pa.Schema:
    return schema.with_metadata({name.encode(): value.encode() for name, value in stamp.items()})


def _is_sound(column: pa.Array) -> bool:
    """Whether all values lie within the file's bytes; reading one outside would crash the process."""
    if column.null_count:
        return False
    if column.type != pa.string():
        return True
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    size = 0 if data is None else data.size
    return len(column) == 0 or bool(bounds[0] >= 0 and bounds[-1] <= size and (np.diff(bounds) >= 0).all())
