from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aista.report.correlation import correlate, correlation_table
from aista.selection.curve import ProbeCurve

NOISE = {"a": 3.0, "b": 2.2, "c": 1.5, "d": 1.0, "e": 0.7}
SCORES = {"a": 10.0, "b": 14.0, "c": 12.0, "d": 30.0, "e": 29.0}


def test_correlations_agree_with_numpy(curve: Callable[..., ProbeCurve]) -> None:
    curves = {label: curve(noise, seed=3).values() for label, noise in NOISE.items()}
    found = correlate(curves, SCORES)
    assert [item.layer for item in found] == [0, 1, 2, 3, 4]
    for item in found:
        mrr = [curves[label][item.layer] for label in NOISE]
        assert item.points == tuple(zip(NOISE, mrr, SCORES.values(), strict=True))
        assert item.pearson == pytest.approx(np.corrcoef(mrr, list(SCORES.values()))[0, 1])
        ranks = [np.argsort(np.argsort(values)) for values in (mrr, list(SCORES.values()))]
        assert item.spearman == pytest.approx(np.corrcoef(*ranks)[0, 1])
        assert item.interval is not None
        assert item.interval.low < item.pearson < item.interval.high


def test_ties_share_their_mean_rank(curve: Callable[..., ProbeCurve]) -> None:
    curves = {label: curve(noise, seed=3).values() for label, noise in NOISE.items()}
    scores = {"a": 1.0, "b": 1.0, "c": 2.0}
    item = correlate(curves, scores)[1]
    assert item.spearman == pytest.approx(np.corrcoef([0, 1, 2], [0.5, 0.5, 2])[0, 1])
    assert item.interval is None


def test_too_few_runs_and_scores_that_do_not_vary(curve: Callable[..., ProbeCurve]) -> None:
    curves = {label: curve(noise).values() for label, noise in NOISE.items()}
    assert correlate(curves, {"a": 1.0, "b": 2.0, "unprobed": 3.0}) == []
    found = correlate(curves, dict.fromkeys(NOISE, 5.0))
    assert {item.pearson for item in found} == {item.spearman for item in found} == {None}
    assert correlation_table(found, "bleu").rows[0] == ("layer 0", "5", "-", "-", "-")
