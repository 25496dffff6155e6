from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aista.losses import Exact, Ipot, from_cost
from tests.losses.clouds import check_transport, clouds, masses, shares

LENGTHS = ([7, 1, 4, 0, 6], [5, 3, 1, 2, 6])
TIGHT = {"tolerance": 1e-9, "max_iterations": 20_000}


def _cost() -> torch.Tensor:
    return torch.rand(5, 8, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _lengths() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(LENGTHS[0]), torch.tensor(LENGTHS[1])


@pytest.mark.parametrize("epsilon", [1.0, 0.2])
def test_tends_to_exact_transport_whatever_epsilon_is(epsilon):
    s, t = _lengths()
    mass = {"x_mass": masses(s, 8, dtype=torch.float64), "y_mass": masses(t, 7, seed=1, dtype=torch.float64)}
    problem = from_cost(_cost(), s, t, **mass)
    found = Ipot(epsilon=epsilon, **TIGHT).solve(problem)
    expected = Exact().solve(problem)  # agrees with POT, sample by sample
    assert found.converged.all()
    torch.testing.assert_close(found.value, expected.value, atol=1e-8, rtol=0)
    torch.testing.assert_close(found.plan(), expected.plan(), atol=1e-6, rtol=0)


def test_fp32_with_default_options():
    case = clouds([60, 13, 0, 40], [20, 9, 3, 30], dim=32)
    result = Ipot()(*case)
    assert result.converged.all()
    expected = Exact()(*case)
    torch.testing.assert_close(result.value, expected.value, atol=2e-3, rtol=0)
    cost = torch.stack(
        [1 - torch.cosine_similarity(x[:, None], y, dim=-1) for x, y in zip(case.x, case.y, strict=True)]
    )
    check_transport(result, case, cost, atol=1e-5)


@settings(max_examples=25)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10_000))
def test_convergence_vouches_for_value_and_duals(s, t, seed):
    C = torch.rand(1, s, t, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    a, b = masses(torch.tensor([s]), s, seed=seed).double(), masses(torch.tensor([t]), t, seed=seed + 1).double()
    lengths = torch.tensor([s]), torch.tensor([t])
    result = Ipot(max_iterations=5000).solve(from_cost(C, *lengths, x_mass=a, y_mass=b))
    p, q = shares(a[0], s), shares(b[0], t)
    f, g = (z[0] for z in result.potentials)
    assert (f[:, None] + g <= C[0] + 1e-12).all()
    exact = Exact().solve(from_cost(C, *lengths, x_mass=a, y_mass=b)).value[0]
    dual = p @ f + q @ g
    assert dual <= exact + 1e-12
    assert result.converged.all()
    assert abs(result.value[0] - dual) <= 1e-3 * C.mean() + 1e-12
    assert exact - dual <= 1e-3 * (C.mean() + C.max())
    error = max((result.plan()[0].sum(1) - p).abs().sum(), (result.plan()[0].sum(0) - q).abs().sum())
    torch.testing.assert_close(result.marginal_error[0], error, atol=1e-12, rtol=0)
    assert error <= 1e-3


def test_stopping_early_is_reported():
    rough = Ipot(max_iterations=3).solve(from_cost(_cost(), *_lengths()))
    assert not rough.converged[0]
    assert rough.num_iterations.tolist() == [3, 3, 3, 0, 3]
    far = Ipot(epsilon=100.0, max_iterations=20).solve(from_cost(_cost(), *_lengths()))
    assert far.marginal_error[0] <= 1e-3  # the marginals alone say nothing about the value
    assert not far.converged[0]


def test_samples_stop_one_by_one():
    num = Ipot(max_iterations=5000).solve(from_cost(_cost(), *_lengths())).num_iterations
    assert num[1] == num[2] == 10  # a single state on one side
    assert num[0] > 10
    assert num[3] == 0


def test_symmetry_and_scaling():
    s, t = _lengths()
    forward = Ipot(**TIGHT).solve(from_cost(_cost(), s, t))
    backward, scaled = (
        Ipot(**TIGHT).solve(from_cost(_cost().mT, t, s)),
        Ipot(**TIGHT).solve(from_cost(40 * _cost(), s, t)),
    )
    torch.testing.assert_close(forward.value, backward.value, atol=1e-8, rtol=0)
    torch.testing.assert_close(40 * forward.value, scaled.value)
    torch.testing.assert_close(forward.plan(), scaled.plan(), atol=1e-8, rtol=0)


def test_shifting_costs_shifts_values_and_leaves_plans():
    r, c = torch.randn(5, 8, 1, dtype=torch.float64), torch.randn(5, 1, 7, dtype=torch.float64)
    options = {"epsilon_scale": "absolute", **TIGHT}
    plain, shifted = (Ipot(**options).solve(from_cost(C, *_lengths())) for C in (_cost(), _cost() + r + c))
    for n, (s, t) in enumerate(zip(*LENGTHS, strict=True)):
        if s and t:
            shift = r[n, :s].mean() + c[n, :, :t].mean()
            torch.testing.assert_close(shifted.value[n] - plain.value[n], shift, atol=1e-7, rtol=0)
    torch.testing.assert_close(plain.plan(), shifted.plan(), atol=1e-6, rtol=0)


def test_diracs_and_equal_clouds():
    x, y, one = torch.randn(2, 1, 4), torch.randn(2, 1, 4), torch.ones(2).long()
    torch.testing.assert_close(Ipot()(x, y, one, one, cost="sqeuclidean").value, (x - y).pow(2).sum((1, 2)))
    cloud, lengths = torch.randn(2, 5, 4), torch.tensor([5, 3])
    equal = Ipot()(cloud, cloud, lengths, lengths, cost="sqeuclidean")
    torch.testing.assert_close(equal.value, torch.zeros(2), atol=5e-3, rtol=0)
    same = Ipot()(torch.ones(2, 5, 4), torch.ones(2, 5, 4), lengths, lengths)
    torch.testing.assert_close(same.value, torch.zeros(2), atol=1e-5, rtol=0)
    assert same.converged.all()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_extreme_costs_converge_like_any_other(scale):
    result = Ipot(max_iterations=2000).solve(from_cost(_cost().float() * scale, *_lengths()))
    assert result.converged.all()
    reference = Exact().solve(from_cost(_cost() * scale, *_lengths()))
    torch.testing.assert_close(result.value.double(), reference.value, atol=2e-3 * scale, rtol=0)


def test_costs_far_beyond_epsilon_stay_finite():
    C = _cost().float()
    C[0, 2] += 1e4
    result = Ipot(epsilon=0.01, epsilon_scale="absolute", max_iterations=100).solve(from_cost(C, *_lengths()))
    assert result.value.isfinite().all()
    assert result.marginal_error.isfinite().all()


def test_gradients_are_those_of_exact_transport():
    case = clouds([4, 1, 3, 0], [3, 3, 1, 2], dim=3, dtype=torch.float64)
    g = torch.Generator().manual_seed(1)
    mass = [torch.rand(4, size, generator=g, dtype=torch.float64) + 0.5 for size in (5, 4)]
    grads = []
    for solver in (Ipot(tolerance=1e-11, max_iterations=20_000), Exact()):
        leaves = [z.clone().requires_grad_() for z in (*case[:2], *mass)]
        solver(*leaves[:2], *case[2:], x_mass=leaves[2], y_mass=leaves[3]).value.sum().backward()
        grads.append([leaf.grad for leaf in leaves])
    torch.testing.assert_close(grads[0], grads[1], atol=1e-7, rtol=0)


def test_points_without_mass_do_not_count_but_have_a_derivative():
    C, s, t = _cost()[:1, :4, :3], torch.tensor([4]), torch.tensor([3])
    a = torch.tensor([[1.0, 0.0, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([[1.0, 0.0, 1.3]], dtype=torch.float64, requires_grad=True)
    options = {"epsilon_scale": "absolute", "epsilon": 0.2, **TIGHT}
    result = Ipot(**options).solve(from_cost(C, s, t, x_mass=a, y_mass=b))
    kept = C[:, [0, 2, 3]][:, :, [0, 2]]
    expected = Exact().solve(from_cost(kept, s - 1, t - 1, x_mass=a[:, [0, 2, 3]], y_mass=b[:, [0, 2]]))
    torch.testing.assert_close(result.value, expected.value, atol=1e-8, rtol=0)
    assert result.plan()[0, 1].eq(0).all()
    result.value.sum().backward()
    for mass, index, other in ((a, 1, {"y_mass": b}), (b, 1, {"x_mass": a})):
        step = torch.zeros_like(mass)
        step[0, index] = 1e-4
        name = "x_mass" if mass is a else "y_mass"
        more = Exact().solve(from_cost(C, s, t, **{name: mass.detach() + step}, **other)).value
        torch.testing.assert_close((more - result.value).detach()[0] / 1e-4, mass.grad[0, index], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.0}, "epsilon: must be greater than 0, got 0.0"),
        ({"epsilon": math.nan}, "epsilon: expects a number, got nan"),
        ({"epsilon_scale": "median"}, "epsilon_scale: expects one of 'mean', 'max', 'absolute', got 'median'"),
        ({"max_iterations": 0}, "max_iterations: must be at least 1, got 0"),
        ({"tolerance": -1.0}, "tolerance: must be at least 0, got -1.0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        Ipot(**options)
