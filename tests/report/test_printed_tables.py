from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aista.report.printed_tables import print_table
from aista.report.tables import Table

TABLE = Table(
    "Split test",
    ("System", "BLEU", "95 % interval", "p (segments)"),
    (("aista_layers_1_2", "62.3", "-18.7 to -1.5", "0.017"), ("ce_only", "52.5", "-", "-")),
)


def printed(table: Table, width: int) -> list[str]:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        print_table(console, table)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_table_that_fits_is_one_block_of_whole_cells() -> None:
    assert printed(TABLE, 60) == [
        "Split test",
        "System            BLEU  95 % interval  p (segments)",
        "───────────────────────────────────────────────────",
        "aista_layers_1_2  62.3  -18.7 to -1.5         0.017",
        "ce_only           52.5              -             -",
    ]


def test_columns_that_do_not_fit_follow_below_beside_the_names() -> None:
    assert printed(TABLE, 40) == [
        "Split test",
        "System            BLEU  95 % interval",
        "─────────────────────────────────────",
        "aista_layers_1_2  62.3  -18.7 to -1.5",
        "ce_only           52.5              -",
        "",
        "System            p (segments)",
        "──────────────────────────────",
        "aista_layers_1_2         0.017",
        "ce_only                      -",
    ]


@pytest.mark.parametrize("num_names", [1, 2])
@given(width=st.integers(40, 160), columns=st.lists(st.integers(1, 20), min_size=3, max_size=12))
def test_every_cell_is_whole_on_a_line_within_the_width(num_names: int, width: int, columns: list[int]) -> None:
    head = tuple("h" * (2 + size // 2) for size in columns)
    cells = tuple(f"{index}" + "x" * size for index, size in enumerate(columns))
    lines = printed(Table("t", head, (cells,), num_names=num_names), width)
    assert max(map(len, lines)) <= width
    if sum(columns[:num_names]) + max(columns) + 10 < width:
        assert {cell for line in lines for cell in line.split()} >= set(cells)


def test_a_name_without_room_is_folded_between_blank_lines_and_loses_nothing() -> None:
    name = "runs/experiments/" + "x" * 60
    lines = printed(Table("t", ("System", "BLEU"), ((name, "1.0"), ("b", "2.0"))), 30)
    assert max(map(len, lines)) <= 30
    assert sum(line.count("x") for line in lines) == name.count("x")
    assert (lines[-2], lines[-1].split()) == ("", ["b", "2.0"])


def test_nothing_is_read_as_markup() -> None:
    text = "\n".join(printed(Table("[red]t", ("[b]", "x"), (("[bold]name", "1"),)), 120))
    assert all(cell in text for cell in ("[red]t", "[b]", "[bold]name"))
