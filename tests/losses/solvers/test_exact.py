from __future__ import annotations

import warnings

import ot
import pytest
import torch

from aista.losses import Exact, from_cost
from tests.losses.clouds import check_transport, clouds, masses, shares

LENGTHS = ([7, 1, 4, 0, 6], [5, 3, 1, 2, 6])


def _cost() -> torch.Tensor:
    return torch.rand(5, 8, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _lengths() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(LENGTHS[0]), torch.tensor(LENGTHS[1])


def test_agrees_with_pot_sample_by_sample():
    s, t = _lengths()
    a, b = masses(s, 8, dtype=torch.float64), masses(t, 7, seed=1, dtype=torch.float64)
    result = Exact().solve(from_cost(_cost(), s, t, x_mass=a, y_mass=b))
    assert result.converged.all()
    for n, (i, j) in enumerate(zip(*LENGTHS, strict=True)):
        if i and j:
            expected = ot.emd2(shares(a[n], i), shares(b[n], j), _cost()[n, :i, :j].contiguous())
            torch.testing.assert_close(result.value[n], expected)
            assert int((result.plan()[n] > 0).sum()) <= i + j - 1


def test_marginals_and_report():
    case = clouds(*LENGTHS)
    result = Exact()(*case, cost="sqeuclidean")
    cost = (case.x[:, :, None] - case.y[:, None]).pow(2).sum(-1)
    check_transport(result, case, cost, atol=1e-4)
    torch.testing.assert_close(result.value, result.transport_cost)
    assert result.num_iterations.eq(0).all()


def test_strong_duality():
    s, t = _lengths()
    result = Exact().solve(from_cost(_cost(), s, t))
    f, g = result.potentials
    for n, (i, j) in enumerate(zip(*LENGTHS, strict=True)):
        if i and j:
            assert (f[n, :i, None] + g[n, None, :j] <= _cost()[n, :i, :j] + 1e-9).all()
            torch.testing.assert_close(f[n, :i].mean() + g[n, :j].mean(), result.value[n])


@pytest.mark.parametrize("num", [1, 2, 9])
def test_sorted_matching_on_the_line(num):
    g = torch.Generator().manual_seed(num)
    x, y = torch.randn(2, num, 1, generator=g), torch.randn(2, num, 1, generator=g)
    lengths = torch.tensor([num, num])
    expected = (x.sort(1).values - y.sort(1).values).abs().mean((1, 2))
    torch.testing.assert_close(Exact()(x, y, lengths, lengths, cost="euclidean").value, expected, atol=1e-3, rtol=1e-4)


def test_diracs_cost_their_distance():
    x, y, one = torch.randn(2, 1, 4), torch.randn(2, 1, 4), torch.ones(2).long()
    torch.testing.assert_close(Exact()(x, y, one, one, cost="sqeuclidean").value, (x - y).pow(2).sum((1, 2)))


def test_gradcheck_where_the_plan_is_unique():
    case = clouds([4, 1, 3, 0], [3, 3, 1, 2], dim=3, dtype=torch.float64)
    x, y = (torch.nan_to_num(z, 1.0, posinf=1.0).requires_grad_() for z in case[:2])
    g = torch.Generator().manual_seed(1)
    a = (torch.rand(4, 5, generator=g, dtype=torch.float64) + 0.5).requires_grad_()
    b = (torch.rand(4, 4, generator=g, dtype=torch.float64) + 0.5).requires_grad_()
    loss = lambda x, y, a, b: Exact()(x, y, *case[2:], x_mass=a, y_mass=b).value  # noqa: E731
    assert torch.autograd.gradcheck(loss, (x, y, a, b), eps=1e-7, atol=1e-5)


def test_points_without_mass_do_not_count():
    C, s, t = _cost()[:1, :4, :3], torch.tensor([4]), torch.tensor([3])
    a = torch.tensor([[1.0, 0.0, 1.0, 2.0]])
    result = Exact().solve(from_cost(C, s, t, x_mass=a))
    expected = Exact().solve(from_cost(C[:, [0, 2, 3]], torch.tensor([3]), t, x_mass=a[:, [0, 2, 3]]))
    torch.testing.assert_close(result.value, expected.value)
    assert result.plan()[0, 1].eq(0).all()


def test_stopping_early_is_reported_not_warned():
    C = torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lengths = torch.tensor([40])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not Exact(max_iterations=1).solve(from_cost(C, lengths, lengths)).converged.any()
        assert Exact().solve(from_cost(C, lengths, lengths)).converged.all()


def test_options_out_of_range():
    with pytest.raises(ValueError, match="max_iterations: must be at least 1, got 0"):
        Exact(max_iterations=0)


def test_negative_costs_are_feasible():
    one = torch.tensor([1])
    for cost in torch.linspace(-5, 5, 41, dtype=torch.float64):
        result = Exact().solve(from_cost(cost[None, None, None], one, one))
        assert result.converged.all()
        torch.testing.assert_close(result.value, cost[None])
        torch.testing.assert_close(result.potentials[0] + result.potentials[1], cost[None, None])
