"""Tables with an id column: recognised transcripts, groups or subsets of utterances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aista.errors import DataError
from aista.text import read_lines

__all__ = ["IdTable", "read_id_table", "read_ids", "some_of"]


@dataclass(frozen=True)
class IdTable:
    """A tab-separated file with a header: id -> cells, in the order of the file and of ``columns``."""

    path: Path
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]

    def column(self, name: str) -> dict[str, str]:
        """Id -> cell of a column.

        Raises:
            DataError: there is no such column.
        """
        if name not in self.columns:
            raise DataError(f"{self.path}:1: has no column {name!r}; its columns are {', '.join(self.columns)}")
        place = self.columns.index(name)
        return {id: cells[place] for id, cells in self.rows.items()}


def read_id_table(path: Path) -> IdTable:
    """Read a tab-separated file with a column ``id``; there is no quoting.

    Raises:
        DataError: the file cannot be read, names a column twice or none ``id``, a line has another number of cells, or
            an id is empty or occurs twice; file and line are named.
    """
    lines = read_lines(path, "no such file") or [""]
    columns = tuple(lines[0].split("\t"))
    if "id" not in columns or len(set(columns)) < len(columns):
        raise DataError(
            f"{path}:1: the header must name the columns, tab-separated, each once and one of them id; got "
            f"{lines[0][:80]!r}"
        )
    rows: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines[1:], start=2):
        cells = tuple(cell.strip() for cell in line.split("\t"))
        if len(cells) != len(columns):
            raise DataError(f"{path}:{number}: expects {len(columns)} cells, as in the header, got {len(cells)}")
        id = cells[columns.index("id")]
        if not id or id in rows:
            raise DataError(f"{path}:{number}: ids must be unique and not empty, got {id!r}; rename or remove it")
        rows[id] = cells
    return IdTable(path, columns, rows)


def read_ids(path: Path) -> list[str]:
    """Read the ids of a file: its column ``id`` if the first line is a header with one, or else one id per line.

    Raises:
        DataError: as ``read_id_table``, or a line holds a tab, or there is no id.
    """
    lines = read_lines(path, "no such file") or [""]
    if "id" in lines[0].split("\t"):
        return list(read_id_table(path).rows)
    tabbed = next((number for number, line in enumerate(lines, start=1) if "\t" in line), 0)
    ids = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if tabbed or not ids:
        raise DataError(
            f"{path}:{tabbed or 1}: must hold one id a line, or a tab-separated table with a column id, got "
            f"{'a tab and no such column' if tabbed else 'nothing'}"
        )
    return ids


def some_of(ids: list[str], most: int = 20) -> str:
    """Ids for a message: all of them, or the first ones and the number of others."""
    return ", ".join(ids[:most]) + (f" and {len(ids) - most} more" if len(ids) > most else "")
