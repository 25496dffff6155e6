"""Contracts of kind ``metric``."""

from __future__ import annotations

import numpy as np

from aista.errors import DataError
from aista.scoring.base import Metric
from aista.testing.contracts import contract, dependencies
from aista.testing.tensors import assert_raises

REFERENCES = [
    "le petit chat noir dort sur la table .",
    "elle mange une pomme rouge dans le jardin .",
    "nous voyons la grande maison blanche demain .",
]
HYPOTHESES = [
    "le petit chat dort sur une table .",
    "elle mange la pomme dans un jardin rouge .",
    "nous voyons la grande maison demain .",
]
dependencies("metric", {"target_language": "fr"})


@contract("metric")
def check_shapes(metric: Metric) -> None:
    """Statistics are finite ``[N, K]`` float64; a score carries its name and signature."""
    statistics = metric.statistics(HYPOTHESES, REFERENCES)
    fits = statistics.ndim == 2 and len(statistics) == len(REFERENCES)
    assert fits, f"statistics must be [{len(REFERENCES)}, K], got {list(statistics.shape)}"
    assert statistics.dtype == np.float64, f"statistics must be float64, got {statistics.dtype}"
    assert np.isfinite(statistics).all(), "statistics must be finite"
    score = metric.score(HYPOTHESES, REFERENCES)
    assert score.name == metric.name, f"the score is named {score.name!r}, the metric {metric.name!r}"
    assert score.signature.strip(), "the score has no signature, so it cannot be compared"


@contract("metric")
def check_additive(metric: Metric) -> None:
    """The corpus score comes from summed statistics: order and batches do not matter."""
    whole = metric.score(HYPOTHESES, REFERENCES).value
    parts = [metric.statistics([h], [r]) for h, r in zip(HYPOTHESES, REFERENCES, strict=True)]
    pieced = metric.value(np.concatenate(parts))
    assert abs(pieced - whole) <= 1e-9 * max(1.0, abs(whole)), f"scored row by row it is {pieced}, at once {whole}"
    turned = metric.score(HYPOTHESES[::-1], REFERENCES[::-1]).value
    assert abs(turned - whole) <= 1e-9 * max(1.0, abs(whole)), f"in reverse order it is {turned}, before {whole}"


@contract("metric")
def check_direction(metric: Metric) -> None:
    """Perfect texts beat wrong ones, and imperfect ones lie between; exact match may give them no credit."""
    wrong = ["xyz"] * len(REFERENCES)
    sign = 1 if metric.higher_is_better else -1
    best, middle, worst = (sign * metric.score(texts, REFERENCES).value for texts in (REFERENCES, HYPOTHESES, wrong))
    ranked = best > worst and best >= middle >= worst
    assert ranked, (
        f"with higher_is_better={metric.higher_is_better}, perfect, imperfect and wrong texts must rank so, "
        f"got {sign * best:.2f}, {sign * middle:.2f}, {sign * worst:.2f}"
    )
    empty = sign * metric.score([""] * len(REFERENCES), REFERENCES).value
    assert empty < best, "empty hypotheses score as well as perfect ones"


@contract("metric")
def check_rejects(metric: Metric) -> None:
    """An empty corpus and lists of different lengths raise DataError."""
    for hypotheses, references, what in (([], [], "an empty corpus"), (HYPOTHESES[:2], REFERENCES, "unequal lengths")):
        with assert_raises(DataError, f"{what} must raise DataError"):
            metric.score(hypotheses, references)
