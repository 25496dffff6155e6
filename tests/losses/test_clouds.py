"""The checkers of these tests find faults."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aista.losses import Sinkhorn, from_cost
from tests.losses.clouds import check_transport, clouds

CASE = clouds([5, 3], [4, 2])
COST = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(3))
RESULT = Sinkhorn().solve(from_cost(COST, CASE.x_lengths, CASE.y_lengths))


def _broken(index: tuple[int, int, int], change: float):
    plan = RESULT.plan()
    plan[index] += change
    return replace(RESULT, build_plan=lambda: plan)


def test_accepts_a_sound_result():
    check_transport(RESULT, CASE, COST, atol=1e-5)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_broken((0, 0, 0), -1.0), "negative mass"),
        (_broken((1, 3, 0), 0.1), "x's padding"),
        (_broken((1, 0, 2), 0.1), "y's padding"),
        (_broken((0, 0, 0), 0.1), "untruthful marginal_error"),
        (replace(RESULT, marginal_error=RESULT.marginal_error + 0.1), "untruthful marginal_error"),
        (replace(RESULT, transport_cost=RESULT.transport_cost + 0.1), "not close"),
    ],
)
def test_rejects_a_faulty_result(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_transport(fault, CASE, COST, atol=1e-5)


def test_rejects_untruthful_convergence():
    rough = Sinkhorn(epsilon=0.001, max_iterations=1).solve(from_cost(COST, CASE.x_lengths, CASE.y_lengths))
    assert not rough.converged.any()
    with pytest.raises(AssertionError, match="untruthful converged"):
        check_transport(replace(rough, converged=~rough.converged), CASE, COST, atol=1e-5)


def test_rejects_an_empty_sample_with_a_value():
    case = clouds([5, 0], [4, 2])
    result = Sinkhorn().solve(from_cost(COST, case.x_lengths, case.y_lengths))
    check_transport(result, case, COST, atol=1e-5)
    with pytest.raises(AssertionError, match="empty but not free"):
        check_transport(replace(result, value=result.value + 1), case, COST, atol=1e-5)
