"""Correlation of retrieval with translation quality over runs, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aista.report.tables import Table, label_of, text_of
from aista.scoring.significance import Interval

__all__ = ["MIN_RUNS", "Correlation", "correlate", "correlation_table", "correlations_of"]

MIN_RUNS = 3
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Correlation:
    """Correlation of MRR at one layer with the score, with a point per run.

    Attributes:
        layer: The LLM layer.
        points: Run label, MRR, score.
        pearson: Linear correlation; None where one side does not vary.
        interval: Its 95 % interval by Fisher's z; None below four runs or at a correlation of 1.
        spearman: Rank correlation (ties share their mean rank); None likewise.
    """

    layer: int
    points: tuple[tuple[str, float, float], ...]
    pearson: float | None
    interval: Interval | None
    spearman: float | None


def correlate(curves: Mapping[str, Mapping[int, float]], scores: Mapping[str, float]) -> list[Correlation]:
    """Correlate MRR with a score over the runs that have both, at every layer probed in at least three runs.

    Args:
        curves: Run -> layer -> MRR, as ``ProbeCurve.values()`` gives it.
        scores: Run -> score.
    """
    layers = sorted({layer for curve in curves.values() for layer in curve})
    correlations = []
    for layer in layers:
        values = {label: curve.get(layer) for label, curve in curves.items() if label in scores}
        points = tuple((label, mrr, scores[label]) for label, mrr in values.items() if mrr is not None)
        if len(points) < MIN_RUNS:
            continue
        correlations.append(_correlation(layer, points))
    return correlations


def _correlation(layer: int, points: tuple[tuple[str, float, float], ...]) -> Correlation:
    x, y = (np.array([point[side] for point in points]) for side in (1, 2))
    if not (_varies(x) and _varies(y)):
        return Correlation(layer, points, None, None, None)
    from scipy import stats  # slow to import

    pearson, spearman = stats.pearsonr(x, y), stats.spearmanr(x, y)
    interval = None
    if len(points) >= 4 and abs(pearson.statistic) < 1 - 1e-12:
        bounds = pearson.confidence_interval(0.95)
        interval = Interval(float(bounds.low), float(bounds.high))
    return Correlation(layer, points, float(pearson.statistic), interval, float(spearman.statistic))


def correlations_of(x: Sequence[float], y: Sequence[float]) -> tuple[float | None, float | None]:
    """Pearson's and Spearman's correlation of paired values; None where one side does not vary."""
    if not (_varies(np.array(x)) and _varies(np.array(y))):
        return None, None
    from scipy import stats  # slow to import

    return float(stats.pearsonr(x, y).statistic), float(stats.spearmanr(x, y).statistic)


def correlation_table(correlations: Sequence[Correlation], metric: str) -> Table:
    """One row per layer."""
    rows = tuple(
        (
            f"layer {item.layer}",
            str(len(item.points)),
            text_of(item.pearson, "+.2f"),
            text_of(item.interval, "+.2f"),
            text_of(item.spearman, "+.2f"),
        )
        for item in correlations
    )
    columns = ("MRR at", "Runs", "Pearson r", "95 % interval", "Spearman rho")
    return Table(f"Correlation of MRR with {label_of(metric)}", columns, rows)


def _varies(values: Floats) -> bool:
    return bool(np.ptp(values) > 1e-12 * max(1.0, float(np.abs(values).max())))
