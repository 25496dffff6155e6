from __future__ import annotations

import itertools

import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aista.losses import Exact, Partial, from_cost
from tests.losses.clouds import check_transport, clouds, masses, shares

LENGTHS = ([7, 1, 4, 0, 6], [5, 3, 1, 2, 6])
FRACTIONS = (0.05, 0.5, 0.9, 1.0)


def _cost() -> torch.Tensor:
    return torch.rand(5, 8, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _lengths() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(LENGTHS[0]), torch.tensor(LENGTHS[1])


@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.9])
def test_agrees_with_pot_sample_by_sample(fraction):
    s, t = _lengths()
    a, b = masses(s, 8, dtype=torch.float64), masses(t, 7, seed=1, dtype=torch.float64)
    result = Partial(fraction=fraction).solve(from_cost(_cost(), s, t, x_mass=a, y_mass=b))
    assert result.converged.all()
    for n, (i, j) in enumerate(zip(*LENGTHS, strict=True)):
        if i and j:
            p, q, C = shares(a[n], i), shares(b[n], j), _cost()[n, :i, :j].contiguous()
            expected = ot.partial.partial_wasserstein(p, q, C, m=fraction)
            torch.testing.assert_close(result.plan()[n, :i, :j], expected)
            torch.testing.assert_close(result.value[n], (expected * C).sum())


def test_the_whole_mass_is_exact_transport():
    whole, exact = (
        Partial(fraction=1.0).solve(from_cost(_cost(), *_lengths())),
        Exact().solve(from_cost(_cost(), *_lengths())),
    )
    assert torch.equal(whole.value, exact.value)
    assert torch.equal(whole.plan(), exact.plan())
    nearly = Partial(fraction=1 - 1e-9).solve(from_cost(_cost(), *_lengths()))
    torch.testing.assert_close(nearly.value, exact.value, atol=1e-8, rtol=0)


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.05, 0.5, 0.9]), st.integers(0, 10_000))
def test_marginals_and_strong_duality(s, t, fraction, seed):
    """For negative costs too: the dummies must not exchange mass."""
    C = torch.randn(1, s, t, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    a, b = masses(torch.tensor([s]), s, seed=seed).double(), masses(torch.tensor([t]), t, seed=seed + 1).double()
    result = Partial(fraction=fraction).solve(from_cost(C, torch.tensor([s]), torch.tensor([t]), x_mass=a, y_mass=b))
    plan, p, q = result.plan()[0], shares(a[0], s), shares(b[0], t)
    assert (plan >= 0).all()
    assert (plan.sum(1) <= p + 1e-9).all()
    assert (plan.sum(0) <= q + 1e-9).all()
    assert abs(float(plan.sum()) - fraction) < 1e-9
    f, g = (z[0] for z in result.potentials)
    assert (f <= 1e-9).all()
    assert (g <= 1e-9).all()
    of_fraction = (C[0] - f[:, None] - g).min()
    torch.testing.assert_close(p @ f + q @ g + fraction * of_fraction, result.value[0])


def test_report():
    case = clouds(*LENGTHS)
    result = Partial()(*case, cost="sqeuclidean")
    cost = (case.x[:, :, None] - case.y[:, None]).pow(2).sum(-1)
    check_transport(result, case, cost, atol=1e-4, balanced=False)
    torch.testing.assert_close(result.value, result.transport_cost)
    assert result.marginal_error.le(1e-6).all()


def test_values_are_convex_in_the_fraction():
    values = [Partial(fraction=m).solve(from_cost(_cost(), *_lengths())).value for m in (0.1, 0.3, 0.5, 0.7, 0.9)]
    slopes = [later - earlier for earlier, later in itertools.pairwise(values)]
    assert all((slope >= 0).all() for slope in slopes)
    assert all((later >= earlier - 1e-9).all() for earlier, later in itertools.pairwise(slopes))


def test_symmetry_and_scaling():
    s, t = _lengths()
    forward, backward = Partial().solve(from_cost(_cost(), s, t)), Partial().solve(from_cost(7 * _cost().mT, t, s))
    torch.testing.assert_close(7 * forward.value, backward.value)
    torch.testing.assert_close(forward.plan(), backward.plan().mT)


def test_diracs_cost_their_share_and_far_states_stay():
    x, y, one = torch.randn(2, 1, 4), torch.randn(2, 1, 4), torch.ones(2).long()
    value = Partial(fraction=0.25)(x, y, one, one, cost="sqeuclidean").value
    torch.testing.assert_close(value, 0.25 * (x - y).pow(2).sum((1, 2)))
    C = torch.tensor([[[0.0, 0.1], [0.1, 0.0], [50.0, 50.0]]])
    plan = Partial(fraction=0.6).solve(from_cost(C, torch.tensor([3]), torch.tensor([2]))).plan()
    assert plan[0, 2].eq(0).all()


def test_free_costs_move_the_fraction():
    result = Partial(fraction=0.5).solve(from_cost(torch.zeros(1, 3, 2), torch.tensor([3]), torch.tensor([2])))
    assert result.value.eq(0).all()
    torch.testing.assert_close(result.plan().sum(), torch.tensor(0.5))


@pytest.mark.parametrize("fraction", [0.35, 0.9])
def test_gradcheck_where_the_plan_is_unique(fraction):
    case = clouds([4, 1, 3, 0], [3, 3, 1, 2], dim=3, dtype=torch.float64)
    x, y = (torch.nan_to_num(z, 1.0, posinf=1.0).requires_grad_() for z in case[:2])
    g = torch.Generator().manual_seed(1)
    a, b = ((torch.rand(4, size, generator=g, dtype=torch.float64) + 0.5).requires_grad_() for size in (5, 4))
    loss = lambda x, y, a, b: Partial(fraction=fraction)(x, y, *case[2:], x_mass=a, y_mass=b).value  # noqa: E731
    assert torch.autograd.gradcheck(loss, (x, y, a, b), eps=1e-7, atol=1e-5)


def test_points_without_mass_do_not_count():
    C, s, t = _cost()[:1, :4, :3], torch.tensor([4]), torch.tensor([3])
    a = torch.tensor([[1.0, 0.0, 1.0, 2.0]])
    result = Partial().solve(from_cost(C, s, t, x_mass=a))
    expected = Partial().solve(from_cost(C[:, [0, 2, 3]], torch.tensor([3]), t, x_mass=a[:, [0, 2, 3]]))
    torch.testing.assert_close(result.value, expected.value)
    assert result.plan()[0, 1].eq(0).all()


def test_stopping_early_is_reported():
    C = torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lengths = torch.tensor([40])
    assert not Partial(max_iterations=1).solve(from_cost(C, lengths, lengths)).converged.any()
    assert Partial().solve(from_cost(C, lengths, lengths)).converged.all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 0.0}, "fraction: must be greater than 0, got 0.0"),
        ({"fraction": 1.1}, "fraction: must be at most 1, got 1.1"),
        ({"fraction": float("nan")}, "fraction: expects a number, got nan"),
        ({"max_iterations": 0}, "max_iterations: must be at least 1, got 0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        Partial(**options)
