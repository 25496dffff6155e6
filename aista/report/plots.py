"""Figures: layer curves, transport plans, bootstrap differences, differences over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aista.report.figure import COLORS, GREY, line_look, panels, printable, style
from aista.report.tables import label_of
from aista.run_folder.probes import Plan
from aista.scoring.seeds import SeedComparison
from aista.scoring.significance import Comparison
from aista.selection.curve import ProbeCurve

__all__ = ["bootstrap_differences", "layer_curves", "seed_differences", "transport_plan"]

SCORE_TITLES = {"mrr": "Mean reciprocal rank (MRR)"}


def layer_curves(
    curves: Mapping[str, ProbeCurve],
    *,
    selected: Sequence[int] = (),
    scores: Sequence[str] = ("mrr", "recall@1"),
    direction: str = "both",
) -> Figure:
    """Retrieval scores per layer, one panel per score and one line per label.

    Args:
        curves: Label -> curve. The chance line is that of the largest probe set's curve if they differ.
        selected: Layers to mark as aligned.
        scores: Names from ``aista.selection.metrics.SCORES``.
        direction: A name from ``aista.selection.metrics.DIRECTIONS``.
    """
    if not curves:
        raise ValueError("layer_curves needs at least one curve")
    chance = min((curve.chance for curve in curves.values()), key=lambda item: item.mrr)
    with style():
        figure, panel_axes = panels(len(scores))
        for axes, score in zip(panel_axes, scores, strict=True):
            for number, (label, curve) in enumerate(curves.items()):
                values = curve.values(score, direction)
                axes.plot(list(values), list(values.values()), label=printable(label), **line_look(number), ms=7)
            level = chance.value(score)
            axes.axhline(level, color=GREY, ls=":", lw=1.5, label=f"chance ({level:.3f})")
            for index, layer in enumerate(selected):
                axes.axvspan(
                    layer - 0.3, layer + 0.3, color="#F0E442", alpha=0.35, lw=0, label="" if index else "aligned layers"
                )
            axes.set(title=SCORE_TITLES.get(score, score.capitalize()), xlabel="LLM layer (0 = its input)")
            axes.set_ylim(0, 1.03)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        handles, labels = panel_axes[0].get_legend_handles_labels()
        labels = [text if not text.startswith("chance") else "random order" for text in labels]
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return figure


def transport_plan(plan: Plan) -> Figure:
    """Draw the transport plan between speech positions and transcript tokens at the layer ``plan.shown``.

    Colour is the share of a position's mass (mass times the number of positions, so that a balanced
    plan's columns sum to 1); dots mark the token that takes most of each position.
    """
    masses = plan.layers[plan.shown]
    share_TP = np.array(masses, dtype=np.float64).T * len(masses)
    tokens, positions = share_TP.shape
    width = min(16.0, max(6.5, 0.21 * positions + 2.2))
    with style():
        figure, (axes,) = panels(1, width=width, height=max(2.8, 0.3 * tokens + 1.7))
        axes.grid(False)
        image = axes.imshow(share_TP, aspect="auto", cmap="Blues", vmin=0, vmax=max(1e-9, share_TP.max()))
        best_P = share_TP.argmax(axis=0)
        shown = share_TP.max(axis=0) > 1e-3 * share_TP.max()
        where = np.arange(positions)
        axes.plot(np.where(shown, where, np.nan), np.where(shown, best_P, np.nan), color=COLORS[1], lw=1, alpha=0.5)
        size = 5 if positions <= 80 else 2.5
        axes.plot(where[shown], best_P[shown], "o", color=COLORS[1], ms=size, mec="white", mew=0.6)
        axes.set_yticks(range(tokens), [printable(token) for token in plan.tokens], parse_math=False)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
        axes.set_xlabel("speech position")
        axes.set_ylabel("transcript token")
        axes.set_title(f"Layer {plan.shown}, utterance {printable(plan.id)}")
        if plan.seconds_per_position:
            _add_seconds(axes, plan.seconds_per_position)
        figure.colorbar(image, ax=axes, label="share of the position", fraction=0.05, pad=0.02)
    return figure


def bootstrap_differences(comparison: Comparison) -> Figure:
    """Draw the differences from the baseline over resampled test sets, one row per system."""
    systems = comparison.systems[1:]
    name = label_of(comparison.metric)
    with style():
        figure = Figure(figsize=(6.8, 1.1 + 1.9 * len(systems)), layout="constrained")
        panel_axes = list(figure.subplots(len(systems), 1, squeeze=False, sharex=True)[:, 0])
        for number, (axes, system) in enumerate(zip(panel_axes, systems, strict=True), start=1):  # as in the charts
            color = COLORS[number % len(COLORS)]
            heights, _, _ = axes.hist(system.differences, bins=40, color=color, alpha=0.45)
            level = -0.08 * max(np.asarray(heights))
            interval = system.difference_interval
            axes.plot([interval.low, interval.high], [level, level], color=color, lw=4, solid_capstyle="butt")
            axes.plot(system.difference, level, "D", color=color, mec="white", ms=9)
            axes.axvline(0, color="black", lw=1.2)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            axes.set_title(
                f"{printable(system.name)}: {system.difference:+.2f} "
                f"[{interval.low:+.2f}, {interval.high:+.2f}], p = {system.p_value:.3f}"
            )
        better = "better" if comparison.higher_is_better else "worse"
        baseline = printable(comparison.baseline.name)
        panel_axes[-1].set_xlabel(f"difference in {name} from {baseline} (right of 0 = {better})")
    return figure


def seed_differences(comparisons: Mapping[str, SeedComparison], metric: str, baseline: str) -> Figure:
    """Draw a forest plot: each system's mean difference from the baseline, its seeds as dots, and two intervals.

    The line is the 95 % t interval over the seeds (none for one seed), the band behind it that of resampled test sets.

    Args:
        comparisons: Label -> comparison, drawn from the top.
        metric: The metric's name.
        baseline: Label of the baseline.
    """
    if not comparisons:
        raise ValueError("seed_differences needs at least one comparison")
    height = 1.5 + 0.55 * len(comparisons)
    with style():
        figure, (axes,) = panels(1, width=8.4, height=height)
        for row, result in enumerate(comparisons.values()):
            _seed_row(axes, row, result)
        axes.axvline(0, color="black", lw=1.2)
        axes.grid(axis="y", visible=False)
        axes.set_ylim(len(comparisons) - 0.4, -0.6)
        axes.set_yticks(range(len(comparisons)), [printable(name) for name in comparisons])
        axes.set_xlabel(f"difference in {label_of(metric)} from {printable(baseline)}")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _seed_row(axes: Axes, row: int, result: SeedComparison) -> None:
    def label(text: str) -> str:
        return "" if row else text  # one entry of the legend for all rows

    low, high = result.interval.low, result.interval.high
    axes.plot(
        [low, high], [row, row], color=COLORS[4], lw=9, alpha=0.35, solid_capstyle="butt", label=label("segments")
    )
    if result.seed_test is not None:
        over = result.seed_test.interval
        axes.plot([over.low, over.high], [row, row], color=COLORS[0], lw=2, label=label("seeds, 95 %"))
    offsets = np.full(len(result.differences), row + 0.26)
    axes.plot(result.differences, offsets, "o", color=GREY, ms=4, alpha=0.7, mec="none", label=label("a seed"))
    axes.plot(result.difference, row, "D", color=COLORS[0], mec="white", ms=8, label=label("mean"))


def _add_seconds(axes: Axes, second: float) -> None:
    """A second axis above in seconds of audio; position k covers k..k+1 times ``second``."""

    def forward(position: Any) -> Any:
        return (position + 0.5) * second

    def inverse(seconds: Any) -> Any:
        return seconds / second - 0.5

    axes.secondary_xaxis("top", functions=(forward, inverse)).set_xlabel("seconds of audio")
