"""Scores of layers against what aligning them gained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aista.report.layer_forecast import SHALLOW, forecast, forecast_table
from aista.selection.bootstrap import Estimate
from aista.selection.curve import ProbeCurve
from aista.selection.layer_measures import MEASURES
from aista.testing.layer_selection import probe_curve

GAINS = {1: {0: 1.0, 1: 3.0, 2: 2.0, 3: 0.5, 4: -1.0}, 2: {0: 2.0, 1: 2.5, 2: 3.0, 3: 0.0, 4: 0.5}}


def curve(**measures: list[float]) -> ProbeCurve:
    base = probe_curve()
    layers = [
        replace(probe, measures={name: Estimate(values[probe.layer]) for name, values in measures.items()})
        for probe in base.layers
    ]
    return replace(base, layers=tuple(layers))


def test_choices_gains_and_regrets() -> None:
    probes = {
        1: curve(mrr=[0, 1, 2, 3, 4], ot_cost=[0, 1, 2, 3, 4]),
        2: curve(mrr=[0, 3, 2, 1, 0], ot_cost=[5, 4, 3, 2, 2]),
    }
    found = {item.score: item for item in forecast(probes, GAINS)}
    assert list(found) == ["mrr", "ot_cost", SHALLOW]
    assert found["mrr"].chosen == ((4, 3, 2, 1, 0), (1, 2, 3, 0, 4))
    assert found["mrr"].gains == {1: (-1.0, 2.5), 2: (-0.25, 2.75)}
    assert found["mrr"].regrets == {1: (4.0, 0.5), 2: (2.75, 0.0)}
    assert found["ot_cost"].chosen == ((0, 1, 2, 3, 4), (3, 4, 2, 1, 0))
    assert found[SHALLOW].chosen == ((0, 1, 2, 3, 4),) * 2
    assert found["mrr"].pearson[0] == pytest.approx(np.corrcoef(range(5), list(GAINS[1].values()))[0, 1])
    assert found["ot_cost"].pearson[0] == pytest.approx(-found["mrr"].pearson[0])
    means = [np.mean([GAINS[seed][layer] for seed in GAINS]) for layer in range(5)]
    ranks = np.argsort(np.argsort(means))
    assert found[SHALLOW].of_means == pytest.approx(np.corrcoef(ranks, range(5, 0, -1))[0, 1])


def test_scores_that_a_seed_lacks_are_left_out_and_seeds_without_a_probe_too() -> None:
    probes = {1: curve(mrr=[0, 1, 2, 3, 4], cka=[1, 1, 1, 1, 1]), 2: curve(mrr=[0, 1, 2, 3, 4])}
    assert [item.score for item in forecast(probes, GAINS)] == ["mrr", SHALLOW]
    alone = forecast({1: probes[1]}, GAINS)
    assert [item.score for item in alone] == ["mrr", "cka", SHALLOW]
    assert alone[1].pearson == (None,)
    assert alone[1].chosen == ((0, 1, 2, 3, 4),)


def test_layers_that_one_seed_lacks_are_left_out_and_two_are_too_few() -> None:
    probes = {seed: curve(mrr=[0, 1, 2, 3, 4]) for seed in (1, 2)}
    some = {1: GAINS[1], 2: {layer: GAINS[2][layer] for layer in (0, 2, 3)}}
    assert forecast(probes, some)[0].chosen == ((3, 2, 0),) * 2
    assert forecast(probes, {1: GAINS[1], 2: {0: 1.0, 1: 2.0}}) == []
    assert forecast({}, GAINS) == []


def test_every_score_is_a_measure_of_the_probe() -> None:
    from aista.report.layer_forecast import LOWER_IS_BETTER, SCORES

    assert set(SCORES) <= set(MEASURES)
    assert set(LOWER_IS_BETTER) <= set(SCORES)


def test_the_table_shows_means_and_how_often_each_choice_was_made() -> None:
    probes = {1: curve(mrr=[0, 1, 2, 3, 4], cka=[1, 1, 1, 1, 1]), 2: curve(mrr=[0, 3, 2, 1, 0], cka=[1, 1, 1, 1, 1])}
    table = forecast_table(forecast(probes, GAINS), "bleu")
    assert "BLEU" in table.title
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["Score"], row["top 1"], row["top 1: Δ BLEU"], row["top 1: regret"]) == (
        "mrr",
        "4 (1x); 1 (1x)",
        "+0.8",
        "2.2",
    )
    assert (row["top 2"], row["top 2: Δ BLEU"]) == ("3, 4 (1x); 1, 2 (1x)", "+1.2")
    flat = dict(zip(table.columns, table.rows[1], strict=True))
    assert (flat["Pearson r"], flat["rho of means"], flat["top 1"]) == ("-", "-", "0")
