from __future__ import annotations

import math

import pytest
import torch

from aista.selection.bootstrap import Estimate, estimate, resample, weighted_means


def test_counts_are_draws_with_replacement_from_a_seed() -> None:
    counts = resample(50, 400, seed=1)
    assert counts.sum(dim=1).eq(50).all()
    assert torch.equal(counts, resample(50, 400, seed=1))
    assert not torch.equal(counts, resample(50, 400, seed=2))
    left_out = float((counts == 0).double().mean())
    assert left_out == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)


def test_means_are_those_of_the_drawn_values() -> None:
    values = torch.arange(6.0)
    counts = torch.tensor([[2.0, 0, 0, 1, 0, 3], [1, 1, 1, 1, 1, 1]], dtype=torch.float64)
    drawn = [torch.tensor([0.0, 0, 3, 5, 5, 5]), values]
    assert weighted_means(values, counts).tolist() == pytest.approx([float(item.mean()) for item in drawn])


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = estimate(float(values.mean()), weighted_means(values, resample(400, 4000)))
    half = 1.96 * float(values.std()) / math.sqrt(400)
    assert found.low == pytest.approx(found.value - half, abs=0.1 * half)
    assert found.high == pytest.approx(found.value + half, abs=0.1 * half)


def test_undefined_resamples_are_left_out() -> None:
    nan = float("nan")
    assert estimate(1.0, None) == Estimate(1.0)
    assert estimate(1.0, torch.tensor([nan, nan])) == Estimate(1.0)
    assert estimate(1.0, torch.tensor([nan, 2.0])) == Estimate(1.0, 2.0, 2.0)
