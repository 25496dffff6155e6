"""Arguments that no solver can use are refused with a message that says which and why."""

from __future__ import annotations

import pytest
import torch

from aista.errors import ConfigError
from aista.losses import (
    Exact,
    Ipot,
    Partial,
    Relaxed,
    Sinkhorn,
    SinkhornDivergence,
    Sliced,
    from_cost,
)

X, Y = torch.randn(2, 4, 3), torch.randn(2, 5, 3)
S, T = torch.tensor([4, 2]), torch.tensor([5, 1])
NEGATIVE, ZERO, BAD = torch.ones(2, 4), torch.ones(2, 4), torch.ones(2, 4)
NEGATIVE[0, 1], ZERO[1], BAD[0, 0] = -1, 0, float("nan")
SOLVERS = [Sinkhorn(), SinkhornDivergence(), Exact(), Ipot(), Partial(), Relaxed(), Sliced()]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": X[0, 0]}, r"x must be a floating point tensor \[\.\.\., length, D\], got torch.float32 \[3\]"),
        ({"y": Y.long()}, "y must be a floating point tensor .* got torch.int64"),
        ({"y": Y[:1]}, r"x and y must agree in all dimensions but -2, got \[2, 4, 3\] and \[1, 5, 3\]"),
        ({"y": Y[..., :2]}, "x and y must agree"),
        ({"x_lengths": torch.tensor([5, 2])}, r"x_lengths must lie in 0\.\.4, the padded length, got 5"),
        ({"y_lengths": torch.tensor([5, -1])}, r"y_lengths must lie in 0\.\.5, the padded length, got -1"),
        (
            {"x_lengths": torch.tensor([4, 2, 1])},
            r"x_lengths must be a tensor of integers of shape \[2\], got torch.int64 \[3\]",
        ),
        (
            {"x_lengths": torch.tensor([4.0, 2.0])},
            "x_lengths must be a tensor of integers of shape .* got torch.float32",
        ),
        ({"x_mass": torch.ones(2, 5)}, r"x_mass must have shape \[2, 4\], got \[2, 5\]"),
        ({"x_mass": NEGATIVE}, "x_mass must be finite, at least 0 and not all 0 over a sample's length, got .*-1"),
        ({"x_mass": ZERO}, "x_mass must be finite, at least 0 and not all 0"),
        ({"x_mass": BAD}, "x_mass must be finite"),
        ({"position_weight": -1.0}, "position_weight must be finite and at least 0, got -1.0"),
        ({"position_power": 0.0}, "position_power must be finite and greater than 0, got 0.0"),
    ],
)
def test_states(solver, changes, message):
    arguments = {"x": X, "y": Y, "x_lengths": S, "y_lengths": T, **changes}
    with pytest.raises(ValueError, match=message):
        solver(**arguments)


def test_costs():
    with pytest.raises(
        ValueError, match=r"cost must be a floating point tensor \[\.\.\., S, T\], got torch.int64 \[2, 4, 5\]"
    ):
        from_cost(torch.ones(2, 4, 5).long(), S, T)
    with pytest.raises(
        ValueError, match="x_mass must be a tensor or 'uniform': 'norm' takes states, and there are only"
    ):
        from_cost(torch.ones(2, 4, 5), S, T, x_mass="norm")
    with pytest.raises(ValueError, match=r"y_lengths must lie in 0\.\.5"):
        from_cost(torch.ones(2, 4, 5), S, torch.tensor([6, 1]))


def test_an_unknown_cost_lists_the_known():
    with pytest.raises(ConfigError, match=r"unknown cost 'manhattan'.*; known: .*cosine"):
        Sinkhorn()(X, Y, S, T, cost="manhattan")


@pytest.mark.parametrize("solver", SOLVERS[:-1])
def test_a_cost_of_the_wrong_shape(solver):
    with pytest.raises(ValueError, match=r"a cost must map \[4, D\] x \[5, D\] to \[4, 5\], but .* returned \[4, 3\]"):
        solver(X, Y, S, T, cost=lambda x, y: x)
