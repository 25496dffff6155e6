"""Prints tables in a terminal; a table that is too wide is split into blocks of columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import rich.table
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from aista.console import escaped
from aista.report.tables import Table

__all__ = ["print_table"]

_GAP = 2  # columns between two cells
_NARROWEST = 8  # of a column of names that must be folded


def print_table(console: Console, table: Table) -> None:
    """Print the title and the table, as wide as the console at most.

    Each block begins with the columns that name its rows. Names are wrapped where not a single other column fits
    beside them. Texts are not parsed as markup, and control characters are escaped.
    """
    console.print(Text(escaped(table.title), style="bold"))
    cells = [[escaped(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for number, block in enumerate(_blocks(widths, table.num_names, console.width)):
        if number:
            console.print()
        console.print(_drawn(cells, block, table.num_names, _name_width(widths, block, table.num_names, console.width)))


def _blocks(widths: Sequence[int], num_names: int, width: int) -> Iterator[list[int]]:
    """Yield the columns of each block: the names, and as many others as fit, at least one."""
    names = list(range(num_names))
    left = room = width - sum(widths[index] + _GAP for index in names)
    block: list[int] = []
    for index in range(num_names, len(widths)):
        if block and widths[index] > left:
            yield [*names, *block]
            left, block = room, []
        block.append(index)
        left -= widths[index] + _GAP
    yield [*names, *block]


def _name_width(widths: Sequence[int], block: Sequence[int], num_names: int, width: int) -> int | None:
    """The width that is left for the widest name of a block that does not fit; None where all of it fits."""
    missing = sum(widths[index] + _GAP for index in block) - _GAP - width
    widest = max(widths[:num_names])
    return max(_NARROWEST, widest - missing) if missing > 0 else None


def _drawn(
    cells: Sequence[Sequence[str]], block: Sequence[int], num_names: int, name_width: int | None
) -> rich.table.Table:
    head, *rows = cells
    drawn = rich.table.Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
        collapse_padding=True,
        leading=0 if name_width is None else 1,
    )
    for index in block:
        is_name = index < num_names
        drawn.add_column(
            Text(head[index]),
            justify="left" if is_name else "right",
            overflow="fold",
            no_wrap=name_width is None or not is_name,
            max_width=name_width if is_name else None,
        )
    for row in rows:
        drawn.add_row(*(Text(row[index]) for index in block))
    return drawn
