from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
import torch

from aista.errors import ConfigError
from aista.losses import Relaxed, from_cost
from aista.losses.cmot import CMOTAlignment, CMOTAlignmentConfig
from aista.schema import structure
from tests.losses.layers import ONE_LAYER, PRESENT, content, layer_states


def _naive(costs: torch.Tensor, mass: torch.Tensor, window: float) -> torch.Tensor:
    """Each row's cheapest column among those within the window, one by one."""
    size_s, size_t = costs.shape
    total = torch.zeros((), dtype=costs.dtype)
    for i in range(size_s):
        near = [
            costs[i, j]
            for j in range(size_t)
            if abs(Fraction(2 * i + 1, 2 * size_s) - Fraction(2 * j + 1, 2 * size_t)) * min(size_s, size_t) <= window
        ]
        total = total + mass[i] * min(near)
    return total


@pytest.mark.parametrize("window", [1.0, 2.0, 100.0])
@pytest.mark.parametrize("side", ["x", "y"])
def test_the_definition_row_by_row(side, window):
    states = layer_states()
    config = structure(CMOTAlignmentConfig, {"cost": "sqeuclidean", "side": side, "window": window})
    values = CMOTAlignment(config)(states, ONE_LAYER).per_utterance_B
    for row in range(6):
        if row not in PRESENT:
            assert values[row] == 0
            continue
        x, y = content(states, row)
        costs = torch.cdist(x, y).square()
        norms = (x if side == "x" else y).norm(dim=1)
        expected = _naive(costs if side == "x" else costs.T, norms / norms.sum(), window)
        torch.testing.assert_close(values[row], expected.float(), rtol=1e-5, atol=1e-6)


def test_a_window_only_takes_matches_away():
    costs = torch.rand(3, 20, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lengths = torch.tensor([20, 7, 3]), torch.tensor([9, 9, 9])
    for side in ("x", "y", "both"):
        values = [Relaxed(side=side, window=w).solve(from_cost(costs, *lengths)).value for w in (1.0, 2.0, 4.0, None)]
        assert all((a >= b).all() for a, b in itertools.pairwise(values))
        assert values[0].isfinite().all()
        assert (values[0] > values[-1]).any()


@pytest.mark.parametrize(("s", "t"), [(1, 1), (1, 9), (9, 1), (2, 9), (40, 3), (7, 8)])
def test_the_narrowest_window_leaves_everyone_a_match(s, t):
    costs = torch.rand(1, s, t, dtype=torch.float64)
    for side in ("x", "y"):
        result = Relaxed(side=side, window=1.0).solve(from_cost(costs, torch.tensor([s]), torch.tensor([t])))
        assert result.converged.all()
        plan = result.plan()[0]
        torch.testing.assert_close(plan.sum(), torch.ones((), dtype=torch.float64))


def test_gradcheck():
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2, n, 4, generator=g, dtype=torch.float64, requires_grad=True) for n in (6, 4))
    lengths = torch.tensor([6, 3]), torch.tensor([4, 2])
    assert torch.autograd.gradcheck(lambda x, y: Relaxed(side="x", window=1.5)(x, y, *lengths).value, (x, y))


def test_the_window_is_checked():
    with pytest.raises(ConfigError, match=r"window: must be at least 1, got 0\.5"):
        structure(CMOTAlignmentConfig, {"window": 0.5})
    with pytest.raises(ValueError, match=r"window: must be at least 1, got 0\.2"):
        Relaxed(window=0.2)
