"""Comparison of layer scores before alignment with the gains of aligning each layer alone."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aista.report.correlation import correlations_of
from aista.report.tables import Table, label_of, text_of
from aista.selection.curve import ProbeCurve

__all__ = ["SCORES", "LayerForecast", "forecast", "forecast_table"]

SCORES = (
    *("mrr", "csls_mrr", "cka", "ot_separation", "ot_cost", "token_mrr", "word_mrr"),
    *("path_cosine", "path_distance", "path_order", "path_contrast", "lens_mrr", "lens_probability", "gradient_cosine"),
)
"""Measures by which a layer could be chosen."""
LOWER_IS_BETTER = ("ot_cost", "path_distance")
SHALLOW = "shallow first"
"""A control without measurement: shallower layers first."""
MIN_LAYERS = 3

Curves = Mapping[int, Mapping[int, float]]
"""Seed -> layer -> number."""


@dataclass(frozen=True)
class LayerForecast:
    """How well one score predicts the gains of the layers, with a value per seed.

    Attributes:
        score: A name of ``SCORES``, or ``SHALLOW``.
        pearson: Over the layers, of the score (negated where lower is better) with the gain; None where one side does
            not vary.
        spearman: The same of ranks.
        of_means: Spearman's of the means over the seeds.
        chosen: The layers from the best score to the worst; equal scores prefer the shallower.
        gains: For k = 1 and 2, the mean gain of the k best layers, each aligned alone.
        regrets: Difference of that from the mean of the k largest gains.
    """

    score: str
    pearson: tuple[float | None, ...]
    spearman: tuple[float | None, ...]
    of_means: float | None
    chosen: tuple[tuple[int, ...], ...]
    gains: Mapping[int, tuple[float, ...]]
    regrets: Mapping[int, tuple[float, ...]]


def forecast(probes: Mapping[int, ProbeCurve], gains: Curves) -> list[LayerForecast]:
    """Compare every score that all probes hold for all layers, and the control, with the gains.

    Args:
        probes: Seed -> a probe before alignment.
        gains: Seed -> layer -> gain of aligning only this layer. Layers that a seed lacks are left out for all.

    Returns:
        A forecast per score, in the order of ``SCORES``, then the control; none for fewer than three layers.
    """
    seeds = [seed for seed in gains if seed in probes]
    layers = sorted(set.intersection(*(set(gains[seed]) for seed in seeds))) if seeds else []
    if len(layers) < MIN_LAYERS:
        return []
    truth = {seed: {layer: gains[seed][layer] for layer in layers} for seed in seeds}
    found = []
    for score in SCORES:
        sign = -1 if score in LOWER_IS_BETTER else 1
        by_seed = {seed: probes[seed].estimates(score) for seed in seeds}
        if all(layer in estimates for estimates in by_seed.values() for layer in layers):
            values = {seed: {k: sign * estimates[k].value for k in layers} for seed, estimates in by_seed.items()}
            found.append(_forecast(score, values, truth))
    return [*found, _forecast(SHALLOW, {seed: {layer: -layer for layer in layers} for seed in seeds}, truth)]


def _forecast(score: str, values: Curves, gains: Curves) -> LayerForecast:
    pairs = [correlations_of(list(values[seed].values()), list(gains[seed].values())) for seed in gains]
    chosen = {seed: tuple(sorted(values[seed], key=lambda k: (-values[seed][k], k))) for seed in gains}
    best = {seed: sorted(gains[seed].values(), reverse=True) for seed in gains}
    taken = {
        count: tuple(statistics.mean(gains[seed][k] for k in chosen[seed][:count]) for seed in gains)
        for count in (1, 2)
    }
    return LayerForecast(
        score=score,
        pearson=tuple(pearson for pearson, _ in pairs),
        spearman=tuple(spearman for _, spearman in pairs),
        of_means=correlations_of(_means(values), _means(gains))[1],
        chosen=tuple(chosen.values()),
        gains=taken,
        regrets={
            count: tuple(
                statistics.mean(top[:count]) - gain for top, gain in zip(best.values(), taken[count], strict=True)
            )
            for count in taken
        },
    )


def forecast_table(forecasts: Sequence[LayerForecast], metric: str) -> Table:
    """One row per score; means over the seeds."""
    label = label_of(metric)
    columns = (
        *("Score", "Pearson r", "Spearman rho", "rho of means"),
        *(f"top {count}{what}" for count in (1, 2) for what in ("", f": Δ {label}", ": regret")),
    )
    return Table(f"Scores of layers before alignment, and {label} gained", columns, tuple(map(_cells, forecasts)))


def _cells(item: LayerForecast) -> tuple[str, ...]:
    cells = [item.score, _mean_text(item.pearson), _mean_text(item.spearman), text_of(item.of_means, "+.2f")]
    for count in (1, 2):
        choices = Counter(tuple(sorted(order[:count])) for order in item.chosen)
        several = len(choices) > 1
        cells += [
            "; ".join(", ".join(map(str, k)) + (f" ({n}x)" if several else "") for k, n in choices.most_common()),
            f"{statistics.mean(item.gains[count]):+.1f}",
            f"{statistics.mean(item.regrets[count]):.1f}",
        ]
    return tuple(cells)


def _mean_text(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return text_of(statistics.mean(known) if known else None, "+.2f")


def _means(values: Curves) -> list[float]:
    layers = next(iter(values.values()))
    return [statistics.mean(by_layer[layer] for by_layer in values.values()) for layer in layers]
