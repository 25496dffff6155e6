from __future__ import annotations

import pytest
import torch

from aista.errors import ConfigError
from aista.losses.costs import Cosine, Euclidean, SqEuclidean, position_cost, resolve_cost
from aista.registry import entries

COSTS = [Cosine(), SqEuclidean(), Euclidean()]
ORACLES = [
    lambda x, y: 1 - torch.cosine_similarity(x[..., :, None, :], y[..., None, :, :], dim=-1),
    lambda x, y: (x[..., :, None, :] - y[..., None, :, :]).pow(2).sum(-1),
    lambda x, y: torch.cdist(x, y),
]


def _states(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("cost", "oracle"), list(zip(COSTS, ORACLES, strict=True)))
@pytest.mark.parametrize(("s", "t", "d"), [(5, 3, 7), (1, 1, 1), (4, 9, 2)])
def test_agrees_with_the_definition(cost, oracle, s, t, d):
    x, y = _states(2, s, d), _states(2, t, d, seed=1)
    torch.testing.assert_close(cost(x, y), oracle(x, y))


@pytest.mark.parametrize("cost", COSTS)
def test_gradients(cost):
    x, y = _states(4, 3).requires_grad_(), _states(5, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(cost, (x, y))
    assert torch.autograd.gradcheck(lambda x: cost(x, y.detach()), (x,))


@pytest.mark.parametrize("cost", COSTS)
def test_degenerate_states_have_finite_gradients(cost):
    x = torch.zeros(2, 3, requires_grad=True)
    y = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]], requires_grad=True)
    value = cost(x, y)
    value.sum().backward()
    assert value.isfinite().all()
    assert x.grad.isfinite().all()
    assert y.grad.isfinite().all()


def test_a_zero_state_costs_one_and_gets_no_cosine_gradient():
    x = torch.zeros(1, 3, requires_grad=True)
    value = Cosine()(x, _states(2, 3).float())
    value.sum().backward()
    torch.testing.assert_close(value, torch.ones(1, 2))
    assert (x.grad == 0).all()


@pytest.mark.parametrize("cost", COSTS)
def test_a_bad_state_is_not_hidden(cost):
    x = torch.tensor([[float("nan"), 1.0]])
    assert cost(x, torch.ones(2, 2)).isnan().all()


def test_squared_distances_survive_a_large_common_offset():
    x, y = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.ones(3, 4)
    torch.testing.assert_close(SqEuclidean()(x + 1000, y + 1000), SqEuclidean()(x, y), atol=2e-3, rtol=1e-3)


def test_position_cost_uses_relative_positions():
    like = torch.zeros((), dtype=torch.float64)
    expected = torch.tensor([[0.0, 0.5], [0.25, 0.25], [0.5, 0.0], [0.75, 0.25]], dtype=torch.float64)
    torch.testing.assert_close(position_cost(4, 2, 1.0, like=like), expected)
    torch.testing.assert_close(position_cost(4, 2, 2.0, like=like), expected**2)


def test_costs_are_registered_under_their_names():
    assert {"cosine", "sqeuclidean", "euclidean"} <= {entry.name for entry in entries("cost")}
    assert isinstance(resolve_cost("cosine"), Cosine)
    own = lambda x, y: x @ y.mT  # noqa: E731
    assert resolve_cost(own) is own


def test_an_unknown_cost_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown cost 'cosin' \(did you mean 'cosine'\?\)"):
        resolve_cost("cosin")
