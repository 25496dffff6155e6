"""The measures of probes as tables, CSV and figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aista.report.figure import GREY, empty, line_look, panels, style
from aista.report.tables import NONE, Table
from aista.selection.bootstrap import Estimate
from aista.selection.curve import ProbeCurve
from aista.selection.layer_measures import MEASURES

__all__ = [
    "agreement_table",
    "checkpoint_curves",
    "checkpoint_table",
    "geometry_table",
    "measure_curves",
    "measures_csv",
    "word_tables",
]

AGREEMENT = ("mrr", "recall@1", "csls_mrr", "cka", "ot_separation")
GEOMETRY = (
    *("ot_cost", "ot_other", "speech_cosine", "text_cosine"),
    *("speech_rank", "text_rank", "speech_norm", "text_norm"),
)
WORDS = ("token_mrr", "word_mrr", "lens_mrr", "lens_probability")
PATHS = ("path_cosine", "path_order", "path_contrast", "gradient_cosine")
PANELS: dict[str, tuple[str, ...]] = {
    "Retrieval": ("mrr", "recall@1", "csls_mrr"),
    "Tokens and words": ("token_mrr", "word_mrr", "lens_mrr"),
    "Token path": ("path_cosine", "path_order", "path_contrast"),
    "Linear CKA": ("cka",),
    "Transport cost": ("ot_cost", "ot_other"),
    "Mean cosine of two utterances": ("speech_cosine", "text_cosine"),
    "Effective rank": ("speech_rank", "text_rank"),
    "Cosine of gradients": ("gradient_cosine",),
}
OVER_TIME = ("mrr", "cka", "ot_separation", "speech_cosine", "speech_rank")


def agreement_table(curve: ProbeCurve) -> Table:
    """Table of the similarity of speech and text per layer, with bootstrap intervals."""
    with_intervals = f", 95 % intervals of {curve.resamples} resamples" if curve.resamples else ""
    return _table(f"Speech and text in {curve.num_utterances} utterances{with_intervals}", curve, AGREEMENT, _cell)


def word_tables(curve: ProbeCurve) -> tuple[Table, ...]:
    """Tables of token and word retrieval, logit lens, token paths and gradient agreement, per layer."""
    titles = {"Tokens and words": WORDS, "Token paths and gradients": PATHS}
    tables = (_table(title, curve, names, lambda item: _cell(item, intervals=False)) for title, names in titles.items())
    return tuple(table for table in tables if len(table.columns) > 1)


def geometry_table(curve: ProbeCurve) -> Table:
    """Transport costs, and the geometry of each modality's states, per layer."""
    return _table("Transport and geometry", curve, GEOMETRY, lambda estimate: _cell(estimate, intervals=False))


def _table(title: str, curve: ProbeCurve, measures: Sequence[str], cell: Callable[[Estimate | None], str]) -> Table:
    shown = [name for name in measures if curve.estimates(name)]
    rows = tuple((str(probe.layer), *(cell(probe.measures.get(name)) for name in shown)) for probe in curve.layers)
    return Table(title, ("Layer", *shown), rows)


def checkpoint_table(curves: Mapping[int, ProbeCurve], measure: str = "mrr") -> Table:
    """One row per checkpoint, one column per layer."""
    layers = sorted({layer for curve in curves.values() for layer in curve.numbers})
    rows = []
    for step, curve in curves.items():
        estimates = curve.estimates(measure)
        rows.append((str(step), *(_cell(estimates.get(layer), intervals=False) for layer in layers)))
    return Table(f"{measure}: {MEASURES[measure]}", ("Step", *(f"layer {layer}" for layer in layers)), tuple(rows))


def measures_csv(curves: Mapping[int, ProbeCurve]) -> str:
    """``step,layer,measure,value,low,high``: one line per measure, layer and checkpoint."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("step", "layer", "measure", "value", "low", "high"))
    for step, curve in curves.items():
        for probe in curve.layers:
            for name, estimate in probe.measures.items():
                bounds = ("" if bound is None else repr(bound) for bound in (estimate.low, estimate.high))
                writer.writerow((step, probe.layer, name, repr(estimate.value), *bounds))
    return text.getvalue()


def measure_curves(curve: ProbeCurve) -> Figure:
    """Every group of measures over the layers, with bands for the intervals."""
    groups = {title: names for title, names in PANELS.items() if any(curve.estimates(name) for name in names)}
    with style():
        figure, panel_axes = panels(max(1, len(groups)), width=4.0)
        for axes, (title, names) in zip(panel_axes, groups.items(), strict=False):
            for number, name in enumerate(name for name in names if curve.estimates(name)):
                _band(axes, number, name, curve.estimates(name))
            axes.set(title=title, xlabel="LLM layer (0 = its input)")
            axes.legend()
        if not groups:
            empty(panel_axes[0], "no measures recorded")
    return figure


def checkpoint_curves(curves: Mapping[int, ProbeCurve], measures: Sequence[str] = OVER_TIME) -> Figure:
    """Draw each layer's measures over the checkpoints, with bands for the intervals."""
    if not curves:
        raise ValueError("checkpoint_curves needs at least one curve")
    shown = [name for name in measures if any(curve.estimates(name) for curve in curves.values())]
    layers = sorted({layer for curve in curves.values() for layer in curve.numbers})
    with style():
        figure, panel_axes = panels(max(1, len(shown)), width=4.0)
        for axes, name in zip(panel_axes, shown, strict=False):
            for number, layer in enumerate(layers):
                over_time = {step: curve.estimates(name) for step, curve in curves.items()}
                series = {step: estimates[layer] for step, estimates in over_time.items() if layer in estimates}
                _band(axes, number, f"layer {layer}", series)
            axes.set(title=name, xlabel="training step")
        if shown:
            figure.legend(
                *panel_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(6, len(layers))
            )
        else:
            empty(panel_axes[0], "no measures recorded")
    return figure


def _band(axes: Axes, number: int, label: str, series: Mapping[int, Estimate]) -> None:
    look = line_look(number)
    axes.plot(list(series), [estimate.value for estimate in series.values()], label=label, ms=6, **look)
    bounded = {x: estimate for x, estimate in series.items() if estimate.low is not None and estimate.high is not None}
    if bounded:
        low, high = [estimate.low for estimate in bounded.values()], [estimate.high for estimate in bounded.values()]
        axes.fill_between(list(bounded), low, high, color=look["color"], alpha=0.15, lw=0)  # type: ignore[arg-type]
    axes.axhline(0, color=GREY, lw=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _cell(estimate: Estimate | None, *, intervals: bool = True) -> str:
    if estimate is None:
        return NONE
    if not intervals or estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3g}"
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"
