"""Scatter plots of retrieval against score: a panel per layer, a point per run."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from aista.report.correlation import Correlation
from aista.report.figure import COLORS, MARKERS, panels, printable, style
from aista.report.tables import label_of, text_of

__all__ = ["retrieval_and_score"]


def retrieval_and_score(correlations: Sequence[Correlation], metric: str) -> Figure:
    """Draw MRR at each layer against the score.

    Args:
        correlations: One per layer. Labels that differ only after the last comma (``AI-STA, seed 1``) look alike.
        metric: Name of the score.
    """
    if not correlations:
        raise ValueError("retrieval_and_score needs at least one layer")
    names = list(dict.fromkeys(_row(label) for item in correlations for label, _, _ in item.points))
    with style():
        figure, panel_axes = panels(len(correlations), width=3.1, height=3.6)
        for axes, item in zip(panel_axes, correlations, strict=True):
            for number, name in enumerate(names):
                points = [(mrr, score) for label, mrr, score in item.points if _row(label) == name]
                color, marker = COLORS[number % len(COLORS)], MARKERS[number // len(COLORS) % len(MARKERS)]
                x, y = zip(*points, strict=True)
                axes.plot(x, y, marker, color=color, ms=6, mec="white", label=printable(name))
            axes.set(title=f"layer {item.layer} (r = {text_of(item.pearson, '+.2f')})", xlabel="MRR")
        panel_axes[0].set_ylabel(label_of(metric))
        for axes in panel_axes[1:]:
            axes.sharey(panel_axes[0])
        figure.legend(*panel_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _row(label: str) -> str:
    return label.rpartition(", ")[0] or label
