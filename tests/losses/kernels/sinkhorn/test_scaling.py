"""The exp domain against the log-domain reference."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aista.losses.kernels.sinkhorn import reference, scaling
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem
from aista.types import length_mask

INF = float("inf")


def _problem(epsilon: float, rho: tuple[float, float] = (INF, INF), dtype: torch.dtype = torch.float32):
    g = torch.Generator().manual_seed(0)
    lengths = torch.tensor([[9, 4], [1, 6], [7, 1], [5, 5]])
    x_mask, y_mask = length_mask(lengths[:, 0], 9), length_mask(lengths[:, 1], 6)
    cost = torch.rand(4, 9, 6, generator=g, dtype=torch.float64) * (x_mask[:, :, None] & y_mask[:, None, :])
    a = torch.rand(4, 9, generator=g, dtype=torch.float64) * x_mask
    b = torch.rand(4, 6, generator=g, dtype=torch.float64) * y_mask
    a[3, 2] = b[3, 4] = 0  # points without mass
    a, b = a / a.sum(1, keepdim=True), b / b.sum(1, keepdim=True)
    eps = torch.full((4,), epsilon, dtype=dtype)
    return EntropicProblem(cost.to(dtype), a.to(dtype), b.to(dtype), tuple(map(tuple, lengths.tolist())), eps, *rho)


def _assert_same(problem, first, second, atol):
    for n, (s, t) in enumerate(problem.lengths_N2):
        # Potentials are unique up to a constant; their sums are not.
        sums = [p.f_NS[n, :s, None] + p.g_NT[n, None, :t] for p in (first, second)]
        torch.testing.assert_close(*sums, atol=atol, rtol=0)


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.02])
@pytest.mark.parametrize("rho", [(INF, INF), (1.0, 0.3), (0.0, 1.0), (INF, 0.5), (0.0, 0.0)])
def test_agrees_with_the_reference(epsilon, rho):
    problem = _problem(epsilon, rho, torch.float64)
    arguments = {"max_iterations": 3000, "tolerance": 1e-10}
    _assert_same(problem, scaling.solve(problem, **arguments), reference.solve(problem, **arguments), 1e-7)


def test_fp32_stays_close_where_scalings_are_absorbed_again_and_again():
    problem = _problem(0.001)
    exact = reference.solve(_problem(0.001, dtype=torch.float64), 200, 0.0)
    fast = scaling.solve(problem, 200, 0.0)
    plain = reference.solve(problem, 200, 0.0)
    for n, (s, t) in enumerate(problem.lengths_N2):
        truth, *others = (p.f_NS[n, :s, None] + p.g_NT[n, None, :t] for p in (exact, fast, plain))
        error, plain_error = ((other - truth).abs().max().item() for other in others)
        assert error <= 2 * plain_error + 1e-6


def test_a_sample_that_leaves_the_range_falls_back_alone(monkeypatch):
    problem = _problem(0.05)
    expected = scaling.solve(problem, 50, 0.0)
    calls = []
    real = reference.solve
    monkeypatch.setattr(reference, "solve", lambda p, *rest: calls.append(p) or real(p, *rest))
    whole = scaling._State.marginal_error
    broken = lambda state: whole(state).masked_fill(state.samples == 1, float("nan"))  # noqa: E731
    monkeypatch.setattr(scaling._State, "marginal_error", broken)
    result = scaling.solve(problem, 50, 0.0)
    assert [p.lengths_N2 for p in calls] == [((1, 6),)]
    _assert_same(problem, result, expected, 1e-5)
    assert torch.equal(result.f_NS[[0, 2, 3]], expected.f_NS[[0, 2, 3]])


@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_costs_beyond_the_range_of_exp_stay_finite(scale):
    problem = _problem(1.0)
    problem = replace(problem, cost_NST=problem.cost_NST * scale)
    result = scaling.solve(problem, 20, 1e-3)
    for n, (s, t) in enumerate(problem.lengths_N2):
        assert result.f_NS[n, :s].isfinite().all()
        assert result.g_NT[n, :t].isfinite().all()


def test_samples_stop_one_by_one():
    problem = _problem(0.05)
    problem.epsilon_N[0] = 5.0
    for solve in (scaling.solve, reference.solve):
        num = solve(problem, 500, 1e-4).num_iterations_N
        assert num[0] == 10
        assert num[3] > 10


@pytest.mark.parametrize("rho", [(INF, INF), (0.5, INF)])
def test_absorption_keeps_small_epsilon_in_the_exp_domain(monkeypatch, rho):
    """Without it these scalings overflow; the fallback would hide that. One sample stops before the others absorb."""
    problem, truth = _problem(0.001, rho), _problem(0.001, rho, torch.float64)
    for p in (problem, truth):
        p.epsilon_N[2] = 2.0
    expected = reference.solve(truth, 300, 1e-3)
    monkeypatch.setattr(reference, "solve", None)
    absorptions = []
    absorb = scaling.Side.absorb
    monkeypatch.setattr(scaling.Side, "absorb", lambda side, n: absorptions.append(len(n)) or absorb(side, n))
    result = scaling.solve(problem, 300, 1e-3)
    assert result.num_iterations_N[2] == 10
    assert min(absorptions) < 4
    for n, (s, t) in enumerate(problem.lengths_N2):
        sums = [p.f_NS[n, :s, None] + p.g_NT[n, None, :t] for p in (result, expected)]
        torch.testing.assert_close(sums[0].double(), sums[1], atol=2e-2, rtol=0)
