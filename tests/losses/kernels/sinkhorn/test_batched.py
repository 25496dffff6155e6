"""The padded batch at once against the log-domain reference, and against its samples."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aista.losses.kernels.sinkhorn import batched, reference, scaling
from tests.losses.kernels.sinkhorn.test_scaling import INF, _assert_same, _problem

RHO = [(INF, INF), (1.0, 0.3), (0.0, 1.0), (INF, 0.5), (0.0, 0.0)]


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.02])
@pytest.mark.parametrize("rho", RHO)
def test_agrees_with_the_reference(epsilon, rho):
    problem = _problem(epsilon, rho, torch.float64)
    arguments = {"max_iterations": 3000, "tolerance": 1e-10}
    _assert_same(problem, batched.solve(problem, **arguments), reference.solve(problem, **arguments), 1e-7)


@pytest.mark.parametrize("num", [1, 7, 10, 23])
@pytest.mark.parametrize("rho", RHO)
def test_iterates_are_those_of_the_samples(num, rho):
    problem = _problem(0.1, rho, torch.float64)
    result = batched.solve(problem, num, 0.0)
    assert result.num_iterations_N.tolist() == [num] * 4
    _assert_same(problem, result, scaling.solve(problem, num, 0.0), 1e-10)


def test_all_iterate_until_the_last_has_converged():
    problem = _problem(0.05)
    problem.epsilon_N[0] = 5.0
    num = batched.solve(problem, 500, 1e-4).num_iterations_N
    slowest = int(reference.solve(problem, 500, 1e-4).num_iterations_N.max())
    assert 10 < slowest < 500
    assert num.tolist() == [slowest] * 4


@pytest.mark.parametrize("rho", [(INF, INF), (0.5, INF)])
def test_scalings_are_absorbed_before_they_leave_the_range(monkeypatch, rho):
    """Without that these overflow, and the reference would have to help."""
    expected = reference.solve(_problem(0.001, rho, torch.float64), 300, 0.0)
    monkeypatch.setattr(reference, "solve", None)
    result = batched.solve(_problem(0.001, rho), 300, 0.0)
    for n, (s, t) in enumerate(_problem(0.001).lengths_N2):
        sums = [p.f_NS[n, :s, None] + p.g_NT[n, None, :t] for p in (result, expected)]
        torch.testing.assert_close(sums[0].double(), sums[1], atol=2e-2, rtol=0)


def test_a_sample_that_leaves_the_range_is_solved_by_the_reference_alone(monkeypatch):
    problem = _problem(0.05)
    expected = batched.solve(problem, 50, 1e-3)
    calls, iterate, solve = [], batched._State.iterate, reference.solve

    def broken(state, steps):
        iterate(state, steps)
        state.x.scaling_nR[1] = float("nan")

    monkeypatch.setattr(batched._State, "iterate", broken)
    monkeypatch.setattr(reference, "solve", lambda p, *rest: calls.append(p.lengths_N2) or solve(p, *rest))
    result = batched.solve(problem, 50, 1e-3)
    assert calls == [((1, 6),)]
    _assert_same(problem, result, expected, 1e-5)
    assert (result.num_iterations_N[[0, 2, 3]] == expected.num_iterations_N[[0, 2, 3]]).all()


@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_costs_beyond_the_range_of_exp_stay_finite(scale):
    problem = _problem(1.0)
    problem = replace(problem, cost_NST=problem.cost_NST * scale)
    result = batched.solve(problem, 20, 1e-3)
    for n, (s, t) in enumerate(problem.lengths_N2):
        assert result.f_NS[n, :s].isfinite().all()
        assert result.g_NT[n, :t].isfinite().all()


def test_sums():
    matrix, weights, values = torch.rand(2, 3, 4), torch.rand(2, 3), torch.rand(2, 3)
    expected = torch.einsum("ns,nst->nt", weights, matrix)
    torch.testing.assert_close(batched.weighted_row_sum(matrix, weights), expected)
    torch.testing.assert_close(batched.weighted_sum(values, weights), (values * weights).sum(1))
