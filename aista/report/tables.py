"""The tables of comparisons and probes, as data and for Markdown, HTML and LaTeX; ``printed_tables`` prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # both are slow to import, and other tables need neither
    from aista.scoring.significance import Interval
    from aista.selection.curve import ProbeCurve

__all__ = [
    "SystemRow",
    "Table",
    "collapse_table",
    "difference_cells",
    "difference_pattern",
    "headline_table",
    "label_of",
    "retrieval_table",
    "score_table",
    "text_of",
    "to_html",
    "to_latex",
    "to_markdown",
]

LABELS = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "chrf_plus_plus": "chrF++",
    "ter": "TER",
    "comet": "COMET",
    "wer": "WER",
    "cer": "CER",
    "off_target": "Off target %",
    "mrr": "MRR",
    "recall@1": "Recall@1",
}
NONE = "-"


@dataclass(frozen=True)
class Table:
    """Cells as text: the columns that name the rows are left-aligned, the others right-aligned.

    ``num_names`` says how many columns, from the left, name a row.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_names: int = 1


@dataclass(frozen=True, kw_only=True)
class SystemRow:
    """One system of the headline table. None means: not measured, or the row is the baseline.

    Attributes:
        name: Label.
        scores: Metric name -> value.
        difference: In the first metric, from the baseline.
        interval: 95 % interval of that difference.
        p_value: Paired bootstrap.
        seconds: Training time.
        layers: The aligned layers; empty for CE only.
    """

    name: str
    scores: Mapping[str, float] = field(default_factory=dict)
    difference: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    seconds: float | None = None
    layers: tuple[int, ...] | None = None


def label_of(name: str) -> str:
    """A score's usual spelling: ``bleu`` -> BLEU."""
    return LABELS.get(name, name)


def headline_table(rows: Sequence[SystemRow], title: str = "Translation quality") -> Table:
    """Systems with their scores, the difference from the baseline, p-value, time and layers."""
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    main = label_of(names[0]) if names else "score"
    columns = ("System", *map(label_of, names), f"Δ {main}", "95 % interval", "p", "Training s", "Aligned layers")
    return Table(title, columns, tuple((*_score_cells(row, names), *_training_cells(row)) for row in rows))


def score_table(rows: Sequence[SystemRow], title: str) -> Table:
    """Table of systems of which only texts are known: scores, difference from the baseline, p-value."""
    table = headline_table(rows, title)
    hidden = len(_training_cells(rows[0]))
    return Table(title, table.columns[:-hidden], tuple(cells[:-hidden] for cells in table.rows))


def _score_cells(row: SystemRow, names: Sequence[str]) -> tuple[str, ...]:
    return (
        row.name,
        *(text_of(row.scores.get(name), ".1f") for name in names),
        *difference_cells(row.difference, row.interval),
        text_of(row.p_value, ".3f"),
    )


def _training_cells(row: SystemRow) -> tuple[str, ...]:
    layers = NONE if row.layers is None else ", ".join(map(str, row.layers)) or "none"
    return text_of(row.seconds, ".0f"), layers


def retrieval_table(curves: Mapping[str, ProbeCurve], score: str = "mrr", direction: str = "both") -> Table:
    """Table with a row per curve and a column per layer, and the score of random order."""
    layers = sorted({layer for curve in curves.values() for layer in curve.numbers})
    rows = []
    for label, curve in curves.items():
        values = curve.values(score, direction)
        cells = (text_of(values.get(layer), ".3f") for layer in layers)
        rows.append((label, *cells, f"{curve.chance.value(score):.3f}"))
    title = f"Retrieval {label_of(score)} per LLM layer (0 = its input)"
    return Table(title, ("Model", *(f"layer {layer}" for layer in layers), "chance"), tuple(rows))


def collapse_table(curves: Mapping[str, ProbeCurve]) -> Table:
    """Diagnostics per model and layer that show whether states collapsed."""
    rows = []
    for label, curve in curves.items():
        for probe in curve.layers:
            seen = probe.diagnostics
            norms = (f"{seen.speech_norm:.3g}", f"{seen.text_norm:.3g}")
            shares = (seen.speech_spread, seen.text_spread, seen.pair_cosine, seen.other_cosine)
            rows.append((label, str(probe.layer), *norms, *(f"{value:.3f}" for value in shares)))
    columns = (
        *("Model", "Layer", "Norm speech", "Norm text", "Spread speech", "Spread text"),
        *("Cosine of pairs", "Cosine of others"),
    )
    return Table("Have the states collapsed?", columns, tuple(rows), num_names=2)


def difference_cells(difference: float | None, interval: Interval | None) -> tuple[str, str]:
    """A difference and its interval as text."""
    pattern = difference_pattern(interval)
    return text_of(difference, pattern), text_of(interval, pattern)


def difference_pattern(*intervals: Interval | None) -> str:
    """Format of a difference: one decimal, or two where all its intervals lie within 1 of zero."""
    bounds = [abs(bound) for each in intervals if each is not None for bound in (each.low, each.high)]
    return "+.2f" if bounds and max(bounds) < 1 else "+.1f"


def text_of(value: float | Interval | None, pattern: str) -> str:
    """A number or interval in a cell, ``-`` where it is unknown."""
    return NONE if value is None else format(value, pattern)


def to_markdown(table: Table) -> str:
    """A pipe table, without the title."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    rule = "|" + "|".join("---" if index < table.num_names else "---:" for index in range(len(table.columns))) + "|"
    return "\n".join([line(table.columns), rule, *map(line, table.rows)]) + "\n"


def to_html(table: Table) -> str:
    """A ``<table>`` element, everything escaped."""

    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join(row(cells, "td") for cells in table.rows)
    return f"<table>\n<thead>{row(table.columns, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def to_latex(table: Table) -> str:
    """A LaTeX ``tabular``, everything escaped; the document needs the package ``booktabs``."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join("".join(_LATEX.get(char, char) for char in cell) for cell in cells) + r" \\"

    alignment = "l" * table.num_names + "r" * (len(table.columns) - table.num_names)
    head = [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", line(table.columns), r"\midrule"]
    return "\n".join([*head, *map(line, table.rows), r"\bottomrule", r"\end{tabular}"]) + "\n"


_LATEX = {char: f"\\{char}" for char in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
}
