from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aista.losses import Sinkhorn
from aista.losses.kernels.sinkhorn import reference, scaling
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem
from aista.losses.kernels.sinkhorn.overrelaxation import LARGEST, OverRelaxation
from tests.losses.clouds import clouds

INF = math.inf
PERIOD = 10


def _problem(epsilon: float, dtype: torch.dtype = torch.float64, num: int = 6, seed: int = 0) -> EntropicProblem:
    """Costs of points in the plane, of several sizes; the smaller epsilon, the slower."""
    g = torch.Generator().manual_seed(seed)
    S, T = 30, 12
    lengths = tuple((S - 4 * n, T - n) for n in range(num))
    cost = torch.zeros(num, S, T, dtype=torch.float64)
    a, b = torch.zeros(num, S, dtype=torch.float64), torch.zeros(num, T, dtype=torch.float64)
    for n, (s, t) in enumerate(lengths):
        x, y = (torch.rand(size, 2, generator=g, dtype=torch.float64) for size in (s, t))
        cost[n, :s, :t] = torch.cdist(x, y)
        a[n, :s], b[n, :t] = 1 / s, 1 / t
    tensors = (z.to(dtype) for z in (cost, a, b))
    return EntropicProblem(*tensors, lengths, torch.full((num,), epsilon, dtype=dtype), INF, INF)


def _gauss_seidel_errors(plain_rate: float, relaxation: OverRelaxation, blocks: int) -> list[float]:
    """Errors of over-relaxed iterations on ``min x^2 / 2 + y^2 / 2 - mu x y``, whose plain rate is ``mu^2``."""
    mu, x, y, errors = math.sqrt(plain_rate), 1.0, 1.0, []
    for _ in range(blocks):
        for step in range(PERIOD):
            omega = relaxation.omegas[0] if step < PERIOD - 1 else 1.0
            x += omega * (mu * y - x)
            y += omega * (mu * x - y)
        errors.append(abs(x))
        relaxation.adapt([abs(x)])
    return errors


@pytest.mark.parametrize("plain_rate", [0.9, 0.99, 0.999])
def test_it_nears_the_best_factor_of_a_linear_iteration(plain_rate):
    relaxation = OverRelaxation(1, 0.0, PERIOD)
    errors = _gauss_seidel_errors(plain_rate, relaxation, 30)
    best = 2 / (1 + math.sqrt(1 - plain_rate))
    assert relaxation.omegas[0] == pytest.approx(best, abs=0.12)
    assert errors[-1] < 0.05 * plain_rate ** (PERIOD * len(errors))


def test_samples_that_converge_soon_are_left_alone():
    relaxation = OverRelaxation(2, 1e-3, PERIOD)
    for block in range(3):
        relaxation.adapt([0.1 * 0.5 ** (10 * block), 0.1 * 0.99 ** (10 * block)])
    assert relaxation.omegas[0] == 1
    assert relaxation.omegas[1] > 1.3
    assert relaxation.active
    relaxation.keep([0])
    assert relaxation.omegas == [1.0]
    assert not relaxation.active


def test_a_rising_error_draws_back_and_a_lost_one_starts_over_below_its_old_factor():
    relaxation = OverRelaxation(1, 1e-3, PERIOD)
    for error in (0.1, 0.09, 0.085):
        relaxation.adapt([error])
    bold = relaxation.omegas[0]
    assert relaxation.adapt([0.2]) == [False]
    assert relaxation.omegas[0] == pytest.approx(1 + 0.8 * (bold - 1))
    retreated = relaxation.omegas[0]
    assert relaxation.adapt([math.nan]) == [True]
    assert relaxation.omegas == [1.0]
    for n in range(30):
        relaxation.adapt([0.1 * 0.9999**n])
    assert 1 < relaxation.omegas[0] <= 1 + 0.8 * (retreated - 1) < LARGEST


def test_a_plain_sample_that_is_lost_is_not_its_concern():
    relaxation = OverRelaxation(1, 1e-3, PERIOD)
    assert relaxation.adapt([math.inf]) == [False]


@pytest.mark.parametrize("epsilon", [0.1, 0.03, 0.01])
def test_the_optimum_is_that_of_plain_iterations(epsilon):
    problem = _problem(epsilon)
    plain = reference.solve(problem, 20_000, 1e-9)
    fast = scaling.solve(problem, 20_000, 1e-9, overrelaxed=True)
    assert (fast.num_iterations_N < 20_000).all()
    for n, (s, t) in enumerate(problem.lengths_N2):
        plans = []
        for f, g, _ in (plain, fast):
            exponent = (f[n, :s, None] + g[n, None, :t] - problem.cost_NST[n, :s, :t]) / epsilon
            plans.append(exponent.exp() / (s * t))
        torch.testing.assert_close(plans[1], plans[0], rtol=0, atol=1e-8)


def test_slow_samples_take_a_fraction_of_the_iterations():
    problem = _problem(0.005)
    plain, fast = (scaling.solve(problem, 20_000, 1e-6, overrelaxed=over).num_iterations_N for over in (False, True))
    assert float(plain.double().mean()) > 500
    assert (fast <= plain).all()
    assert 4 * fast.sum() < plain.sum()


@settings(max_examples=25, deadline=None)
@given(st.floats(0.002, 0.3), st.sampled_from([torch.float32, torch.float64]), st.integers(0, 99))
def test_it_never_takes_much_longer_and_reports_truthfully(epsilon, dtype, seed):
    case = clouds([20, 7, 13], [9, 15, 4], dim=4, seed=seed, dtype=dtype)
    options = {"epsilon": epsilon, "max_iterations": 3000, "polish": False, "backend": "scaling"}
    plain, fast = (Sinkhorn(**options, acceleration=which)(*case) for which in ("none", "auto"))
    assert (fast.num_iterations <= plain.num_iterations + 20).all()
    assert (fast.converged | ~plain.converged).all()
    plan = fast.plan().double()
    for n, (s, t) in enumerate(((20, 9), (7, 15), (13, 4))):
        error = max((plan[n, :s, :t].sum(1) - 1 / s).abs().sum(), (plan[n, :s, :t].sum(0) - 1 / t).abs().sum())
        assert float(error) == pytest.approx(float(fast.marginal_error[n]), abs=2e-5)
        assert bool(fast.converged[n]) == (float(fast.marginal_error[n]) <= 1e-3)


def test_a_sample_that_leaves_the_range_goes_back_and_a_batch_equals_its_samples_bit_for_bit(monkeypatch):
    problem = _problem(0.0006, torch.float32)
    returns, back = [], scaling._State.go_back
    monkeypatch.setattr(scaling._State, "go_back", lambda state, which: returns.append(which) or back(state, which))
    monkeypatch.setattr(reference, "solve", lambda *_: pytest.fail("fell back to the log domain"))
    whole = scaling.solve(problem, 600, 1e-4, overrelaxed=True)
    assert any(bool(which.any()) and not bool(which.all()) for which in returns), "the case provokes nothing"
    for n, (s, t) in enumerate(problem.lengths_N2):
        alone = scaling.solve(problem.sample(n), 600, 1e-4, overrelaxed=True)
        assert torch.equal(whole.f_NS[n, :s], alone.f_NS[0])
        assert torch.equal(whole.g_NT[n, :t], alone.g_NT[0])
        assert torch.equal(whole.num_iterations_N[n], alone.num_iterations_N[0])


def test_auto_leaves_fixed_numbers_of_iterations_alone():
    case = clouds([20, 7], [9, 15], dim=4)
    options = {"epsilon": 0.01, "tolerance": 0.0, "max_iterations": 80, "polish": False}
    none, auto, named = (Sinkhorn(**options, acceleration=a)(*case) for a in ("none", "auto", "overrelaxation"))
    assert torch.equal(none.value, auto.value)
    assert (named.num_iterations == 80).all()
    assert (named.marginal_error < 0.5 * none.marginal_error).all()
