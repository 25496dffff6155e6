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
        ({"x": X.tolist()}, r"x must be a floating point tensor \[\.\.\., length, D\], got list"),
        ({"y": Y.numpy()}, "y must be a floating point tensor .* got ndarray"),
        ({"x_lengths": [4, 2]}, r"x_lengths must be a tensor of integers of shape \[2\], got list \[4, 2\]"),
        ({"x_lengths": 4}, "x_lengths must be a tensor of integers .* got int 4"),
        ({"y_lengths": None}, "y_lengths must be a tensor of integers .* got None"),
        ({"cost": None}, "cost must be the name of a registered cost or a callable .* got None"),
        ({"cost": {}}, "cost must be the name of a registered cost or a callable .* got dict {}"),
        ({"cost": torch.ones(2, 4, 5)}, r"cost must be .* got torch.float32 \[2, 4, 5\]; .* aista.losses.from_cost"),
        ({"cost": lambda x, y: 1.0}, r"a cost must map .* to a tensor \[4, 5\], but .* returned float 1.0"),
        ({"cost": lambda x, y: None}, r"a cost must map .* to a tensor \[4, 5\], but .* returned None"),
        ({"x_mass": [1.0, 1.0]}, r"x_mass must be a tensor, the name of .* or a callable .* got list \[1.0, 1.0\]"),
        ({"y_mass": 1.0}, "y_mass must be a tensor, the name of a registered mass or a callable .* got float 1.0"),
        ({"y_mass": lambda y: None}, r"y_mass: a mass must map \[5, D\] to a tensor \[5\], but .* gave None"),
        ({"x_mass": torch.ones(2, 4, device="meta")}, "x_mass and the costs must be on one device, got meta and cpu"),
        ({"position_weight": "1"}, "position_weight must be a number, got str '1'"),
        ({"position_power": None}, "position_power must be a number, got None"),
        ({"y": Y.to("meta")}, "x and y must be on one device, got cpu and meta"),
        ({"x": X.to("meta"), "y": Y.to("meta")}, "x and y must be on a device with values, got meta"),
        ({"x_lengths": S.to("meta")}, "x_lengths must be on a device with values, got meta"),
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
    with pytest.raises(ValueError, match=r"cost must be a floating point tensor \[\.\.\., S, T\], got list"):
        from_cost([[1.0]], S, T)
    with pytest.raises(ValueError, match=r"cost must be on a device with values, got meta"):
        from_cost(torch.ones(2, 4, 5, device="meta"), S, T)
    with pytest.raises(ValueError, match=r"x_mass must be a tensor, .* got float 1.0"):
        from_cost(torch.ones(2, 4, 5), S, T, x_mass=1.0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_solve_says_what_it_takes(solver):
    if isinstance(solver, Sliced):
        message = r"Sliced works on states, not on costs: call it as Sliced\(\)\(x, y, x_lengths, y_lengths\)"
    elif isinstance(solver, SinkhornDivergence):
        message = "solve takes three problems .* built by aista.losses.from_cost .* got"
    else:
        message = r"solve takes a problem, built by aista.losses.from_cost .* got torch.float32 \[2, 4, 5\]"
    with pytest.raises(ValueError, match=message):
        solver.solve(torch.ones(2, 4, 5))


def test_a_divergence_is_of_three_problems():
    problem = from_cost(torch.ones(2, 4, 5), S, T)
    with pytest.raises(ValueError, match=r"three problems \(of x and y, among the x, among the y\).* got None"):
        SinkhornDivergence().solve(problem)
    square = [from_cost(torch.ones(2, n, n, dtype=torch.float64), z, z) for n, z in ((4, S), (5, T))]
    with pytest.raises(ValueError, match=r"among_x must hold torch.float32 as both does, got torch.float64"):
        SinkhornDivergence().solve(problem, *square)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("mass", ["uniform", "norm", lambda states: states[:, 0].exp().double()])
def test_one_fp64_side_makes_all_of_it_fp64(solver, mass):
    double = solver(X.double(), Y.double(), S, T, x_mass=mass, y_mass=mass).value
    for x, y in ((X.double(), Y), (X, Y.double())):
        value = solver(x, y, S, T, x_mass=mass, y_mass=mass).value
        assert value.dtype == torch.float64
        assert torch.equal(value, double)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.long])
def test_a_mass_may_come_in_another_type(solver, dtype):
    given = solver(X, Y, S, T, x_mass=lambda x: torch.ones(len(x), dtype=dtype), y_mass=torch.ones(2, 5).to(dtype))
    assert given.value.dtype == torch.float32
    torch.testing.assert_close(given.value, solver(X, Y, S, T).value)


def test_an_unknown_cost_lists_the_known():
    with pytest.raises(ConfigError, match=r"unknown cost 'manhattan'.*; known: .*cosine"):
        Sinkhorn()(X, Y, S, T, cost="manhattan")


@pytest.mark.parametrize("solver", SOLVERS[:-1])
def test_a_cost_of_the_wrong_shape(solver):
    with pytest.raises(
        ValueError, match=r"a cost must map \[4, D\] x \[5, D\] to a tensor \[4, 5\], but .* returned .* \[4, 3\]"
    ):
        solver(X, Y, S, T, cost=lambda x, y: x)
