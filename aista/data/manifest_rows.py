"""The rows of a manifest in columnar storage, which takes little more memory than their text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from typing_extensions import override

__all__ = ["MANIFEST_SAMPLE_RATE", "NUMBERS", "UNMEASURED", "Row", "Rows"]

MANIFEST_SAMPLE_RATE = 16_000
"""``n_frames`` counts samples at this rate (Hz), whatever the rate of the file."""

UNMEASURED = -1
"""``n_frames`` of a row with audio of unknown length, which the inspection measures."""

_BLOCK = 4096  # rows that are objects at a time while all are gone through


@dataclass(frozen=True)
class Row:
    """One utterance of a manifest. Field names are the manifest's columns.

    Attributes:
        id: Unique within the manifest.
        audio: A path relative to the manifest or absolute, ``file.zip:offset:length``, or "" (text only).
        n_frames: Samples at 16 kHz; 0 in text-only rows; ``UNMEASURED`` until the inspection has looked.
        tgt_text: Translation; "" where there is none.
        speaker: Speaker's name, or "".
        src_text: Transcript; "" where there is none.
        src_lang: Language of the speech, or "".
        tgt_lang: Language of the translation, or "".
        word_times: When each word of the transcript is spoken, ``0.10-0.35 0.35-0.80`` in seconds, or "".
        line: Line in the manifest, counted from 1 (the header); 0 in rows that were not read from a file.
        task: Its task (``aista.data.task_rows``), or "": any task that its fields allow.
    """

    id: str
    audio: str
    n_frames: int
    tgt_text: str
    speaker: str = ""
    src_text: str = ""
    src_lang: str = ""
    tgt_lang: str = ""
    word_times: str = ""
    line: int = 0
    task: str = ""

    @property
    def seconds(self) -> float:
        """Duration as the manifest states it, or as it was measured; 0 before that."""
        return max(self.n_frames, 0) / MANIFEST_SAMPLE_RATE


_FIELDS = tuple(field.name for field in fields(Row))
NUMBERS = ("n_frames", "line")
"""Fields of a row that are whole numbers; the others are texts."""


class Rows(Sequence[Row]):
    """Rows as Arrow columns. ``rows[3]`` makes a ``Row``, ``rows[:3]`` are ``Rows``; a choice of rows copies no text.

    It never changes, may be shared by forked processes, and equals any sequence of equal rows.

    Args:
        table: Columns called as the fields of ``Row``: ``n_frames`` and ``line`` of int64, the others strings. A field
            with a default that it lacks has that value in each row.
        places: Indices of rows of the table, in order; None for all.
    """

    def __init__(self, table: pa.Table, places: NDArray[np.int64] | None = None) -> None:
        self._table = table
        self._columns = dict(zip(table.column_names, table.columns, strict=True))
        self._places = places

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Rows:
        """Convert row objects to columns; ``Rows`` are returned as they are."""
        if isinstance(rows, Rows):
            return rows
        rows = list(rows)
        types = {name: pa.int64() if name in NUMBERS else pa.string() for name in _FIELDS}
        columns = {name: pa.chunked_array([[getattr(row, name) for row in rows]], types[name]) for name in _FIELDS}
        return cls(pa.table(columns))

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """The rows of all parts, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        tables = [part._table if part._places is None else part._table.take(part._places) for part in parts]
        return cls(pa.concat_tables(tables, promote_options="default"))

    def __len__(self) -> int:
        return int(self._table.num_rows if self._places is None else len(self._places))

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Rows: ...

    @override
    def __getitem__(self, index: int | slice) -> Row | Rows:
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        index %= len(self)
        place = index if self._places is None else int(self._places[index])
        return Row(**{name: column[place].as_py() for name, column in self._columns.items()})

    @override
    def __iter__(self) -> Iterator[Row]:
        names = self._table.column_names
        for start in range(0, len(self), _BLOCK):
            end = min(start + _BLOCK, len(self))
            if self._places is None:
                block = self._table.slice(start, end - start)
            else:
                block = self._table.take(self._places[start:end])
            for values in zip(*(block[name].to_pylist() for name in names), strict=True):
                row = object.__new__(Row)  # its __init__, which sets each frozen field apart, takes four times as long
                row.__dict__.update(zip(names, values, strict=True))
                yield row

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Rows({len(self)} rows)"

    def take(self, places: NDArray[np.int64] | Sequence[int]) -> Rows:
        """The rows at these places of this sequence, in this order."""
        chosen = np.asarray(places, dtype=np.int64)
        return Rows(self._table, chosen if self._places is None else self._places[chosen])

    def where(self, mask: NDArray[np.bool_]) -> Rows:
        """The rows where the mask, ``[rows]``, is true; the same object if it is true everywhere."""
        return self if mask.all() else self.take(np.flatnonzero(mask))

    def column(self, name: str) -> pa.ChunkedArray:
        """A field of all rows, strings or int64."""
        if name not in self._table.column_names:
            return pa.chunked_array([pa.repeat(pa.scalar("", pa.string()), len(self))])
        column = self._table[name]
        return column if self._places is None else column.take(self._places)

    def texts(self, name: str) -> list[str]:
        """A text field of all rows."""
        texts: list[str] = self.column(name).to_pylist()
        return texts

    def is_filled(self, name: str) -> NDArray[np.bool_]:
        """``[rows]`` whether a text field is not empty."""
        if name not in self._table.column_names:
            return np.zeros(len(self), dtype=np.bool_)
        return np.asarray(pc.binary_length(self.column(name)).to_numpy() > 0)

    def numbers(self, name: str) -> NDArray[np.int64]:
        """``n_frames`` or ``line`` of all rows."""
        return np.asarray(self.column(name).to_numpy(), dtype=np.int64)

    def seconds(self) -> NDArray[np.float64]:
        """``[rows]`` durations as ``Row.seconds``."""
        return np.maximum(self.numbers("n_frames"), 0) / MANIFEST_SAMPLE_RATE

    def with_frames(self, n_frames: NDArray[np.int64]) -> Rows:
        """The same rows with these values of ``n_frames``, ``[rows]``."""
        return self._with("n_frames", pa.array(n_frames, pa.int64()))

    def with_texts(self, **columns: Sequence[str] | pa.Array | pa.ChunkedArray) -> Rows:
        """The same rows with other values in text fields."""
        rows = self
        for name, values in columns.items():
            is_column = isinstance(values, (pa.Array, pa.ChunkedArray))
            rows = rows._with(name, values if is_column else pa.array(values, pa.string()))
        return rows

    def _with(self, name: str, column: pa.Array | pa.ChunkedArray) -> Rows:
        table = self._table if self._places is None else self._table.take(self._places)
        if name in table.column_names:
            table = table.drop_columns([name])
        chunks = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
        return Rows(table.append_column(name, chunks))
