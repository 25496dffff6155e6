from __future__ import annotations

import pytest
import torch

from aista.losses.costs import Cosine
from aista.losses.solvers.pairwise import ALIGNMENT, aligned, padded_costs


@pytest.mark.parametrize("start", range(5))
def test_aligned(start):
    tensor = torch.arange(24.0)[start : start + 18]
    for view in (tensor.view(3, 6), tensor.view(3, 6).T, tensor.view(3, 6)[:, :4]):
        result = aligned(view)
        assert torch.equal(result, view)
        assert result.is_contiguous()
        assert result.data_ptr() % ALIGNMENT == 0


def test_costs_are_those_of_each_sample_and_zero_in_the_padding():
    x, y = torch.randn(3, 6, 5), torch.randn(3, 4, 5)
    costs = padded_costs(x, y, [(0, 6, 2), (2, 3, 4)], Cosine(), 0.5, 1.0)
    assert costs.shape == (2, 6, 4)
    position = 0.5 * (torch.arange(3)[:, None] / 3 - torch.arange(4) / 4).abs()
    torch.testing.assert_close(costs[1, :3], Cosine()(x[2, :3], y[2]) + position)
    assert costs[0, :, 2:].eq(0).all()
    assert costs[1, 3:].eq(0).all()


def _plain_cosine(x, y):
    return 1 - torch.cosine_similarity(x[:, None], y[None], dim=-1)


@pytest.mark.parametrize("cost", [Cosine(), _plain_cosine], ids=["explicit", "taped"])
def test_gradients_are_those_of_autograd_and_zero_elsewhere(cost):
    x, y = (torch.randn(3, size, 5, requires_grad=True) for size in (6, 4))
    weights = torch.randn(1, 3, 4)
    padded_costs(x, y, [(1, 3, 4)], cost).mul(weights).sum().backward()
    x_one, y_one = x[1, :3].detach().requires_grad_(), y[1].detach().requires_grad_()
    _plain_cosine(x_one, y_one).mul(weights[0]).sum().backward()
    torch.testing.assert_close(x.grad[1, :3], x_one.grad)
    torch.testing.assert_close(y.grad[1], y_one.grad)
    assert x.grad[[0, 2]].eq(0).all()
    assert x.grad[1, 3:].eq(0).all()


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("cost", [Cosine(), _plain_cosine], ids=["explicit", "taped"])
def test_a_side_that_needs_no_gradient_gets_none(cost, side):
    sides = [torch.randn(2, 3, 5), torch.randn(2, 4, 5)]
    sides[side].requires_grad_()
    padded_costs(*sides, [(0, 3, 2), (1, 2, 4)], cost).sum().backward()
    assert sides[side].grad.abs().sum() > 0
    assert sides[1 - side].grad is None


def test_a_cost_that_does_not_depend_on_a_side_gives_it_zero_gradient():
    x, y = torch.randn(1, 3, 5, requires_grad=True), torch.randn(1, 4, 5, requires_grad=True)
    padded_costs(x, y, [(0, 3, 4)], lambda x, y: x.sum(-1)[:, None].expand(-1, len(y))).sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 4.0))
    assert y.grad.eq(0).all()


@pytest.mark.parametrize("cost", [Cosine(), _plain_cosine], ids=["explicit", "taped"])
def test_states_changed_in_place_before_backward_are_refused(cost):
    x, y = torch.randn(1, 3, 5, requires_grad=True), torch.randn(1, 4, 5)
    costs = padded_costs(x, y, [(0, 3, 4)], cost)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        costs.sum().backward()


@pytest.mark.parametrize("needs_grad", [True, False])
@pytest.mark.parametrize("derived", [True, False])
def test_a_cost_that_would_need_a_gradient_is_refused(needs_grad, derived):
    x, y = torch.randn(2, 3, 5, requires_grad=needs_grad), torch.randn(2, 4, 5)
    weight = torch.eye(5, requires_grad=True)
    weight = weight * 2 if derived else weight

    def cost(a, b):
        return torch.cdist(a @ weight, b)

    with pytest.raises(ValueError, match=r"a solver cannot give them: .* aista.losses.from_cost, or detach"):
        padded_costs(x, y, [(0, 3, 2), (1, 2, 4)], cost)
    with torch.no_grad():
        expected = padded_costs(x, y, [(0, 3, 2), (1, 2, 4)], cost)
    weight = weight.detach()
    assert torch.equal(padded_costs(x, y, [(0, 3, 2), (1, 2, 4)], cost), expected)


def test_a_cost_that_is_a_parameter_is_refused():
    costs = torch.ones(3, 4, requires_grad=True)
    with pytest.raises(ValueError, match="depends on tensors that require a gradient"):
        padded_costs(torch.randn(1, 3, 5), torch.randn(1, 4, 5), [(0, 3, 4)], lambda a, b: costs)
