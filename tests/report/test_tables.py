from __future__ import annotations

from collections.abc import Callable

import pytest

from aista.report.tables import (
    SystemRow,
    Table,
    collapse_table,
    difference_cells,
    headline_table,
    retrieval_table,
    to_html,
    to_latex,
    to_markdown,
)
from aista.scoring.significance import Interval
from aista.selection.curve import ProbeCurve

ROWS = [
    SystemRow(name="CE only", scores={"bleu": 52.04, "chrf": 70.0}, seconds=81.4, layers=()),
    SystemRow(
        name="AI-STA",
        scores={"bleu": 56.9, "chrf": 72.5},
        difference=4.86,
        interval=Interval(1.2, 8.04),
        p_value=0.00999,
        seconds=None,
        layers=(1, 2),
    ),
]


def test_headline() -> None:
    table = headline_table(ROWS)
    assert table.columns == (
        "System",
        "BLEU",
        "chrF",
        "Δ BLEU",
        "95 % interval",
        "p",
        "Training s",
        "Aligned layers",
    )
    assert table.rows[0] == ("CE only", "52.0", "70.0", "-", "-", "-", "81", "none")
    assert table.rows[1] == ("AI-STA", "56.9", "72.5", "+4.9", "+1.2 to +8.0", "0.010", "-", "1, 2")


@pytest.mark.parametrize(
    ("low", "high", "cells"),
    [
        (-0.31, 0.904, ("+0.25", "-0.31 to +0.90")),
        (-0.31, 1.0, ("+0.2", "-0.3 to +1.0")),
        (-1.2, 0.4, ("+0.2", "-1.2 to +0.4")),
    ],
)
def test_differences_near_zero_have_two_decimals(low: float, high: float, cells: tuple[str, str]) -> None:
    assert difference_cells(0.25, Interval(low, high)) == cells


def test_columns_that_name_a_row_stand_to_the_left() -> None:
    table = Table("t", ("A", "B", "x"), (("a", "b", "1"),), num_names=2)
    assert to_markdown(table).splitlines()[1] == "|---|---|---:|"
    assert to_latex(table).startswith(r"\begin{tabular}{llr}")


def test_metrics_that_one_system_lacks() -> None:
    table = headline_table([SystemRow(name="a", scores={"wer": 9.0}), SystemRow(name="b", scores={"cer": 3.0})])
    assert table.columns[:4] == ("System", "WER", "CER", "Δ WER")
    assert [row[1:3] for row in table.rows] == [("9.0", "-"), ("-", "3.0")]


def test_markdown_and_html_escape() -> None:
    table = Table("t", ("A|B", "x"), (("<i>\n", "1|2"),))
    assert to_markdown(table) == "| A\\|B | x |\n|---|---:|\n| <i>  | 1\\|2 |\n"
    assert "<td>&lt;i&gt;\n</td>" in to_html(table)


def test_retrieval_table(curve: Callable[..., ProbeCurve]) -> None:
    small, large = curve(1.0, num_layers=1), curve(2.0, num_layers=2)
    table = retrieval_table({"small": small, "large": large}, score="recall@1")
    assert table.columns == ("Model", "layer 0", "layer 1", "layer 2", "chance")
    assert table.rows[0][3] == "-"
    assert table.rows[1][1] == f"{large.values('recall@1')[0]:.3f}"
    assert table.rows[0][4] == f"{1 / 57:.3f}"


def test_collapse_table(curve: Callable[..., ProbeCurve]) -> None:
    table = collapse_table({"a": curve(1.0, num_layers=2)})
    assert [row[:2] for row in table.rows] == [("a", "0"), ("a", "1"), ("a", "2")]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_latex_escapes() -> None:
    table = Table("t", ("Run", "Δ BLEU"), (("a_b & 5%", "+1.0 ± 0.2"), ("x\\y", "-")))
    assert to_latex(table).splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"Run & $\Delta$ BLEU \\",
        r"\midrule",
        r"a\_b \& 5\% & +1.0 $\pm$ 0.2 \\",
        r"x\textbackslash{}y & - \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
