"""The gradient that solvers attach: there is no second one, and its graph lives no longer than the value."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from aista.losses import Exact, Sinkhorn, Sliced
from aista.losses.costs import Cosine
from tests.losses.clouds import clouds


@pytest.mark.parametrize("solver", [Sinkhorn(), Exact(), Sliced()])
def test_a_gradient_of_the_gradient_is_refused(solver):
    """Of a sum, whose gradient is a constant, a penalty on the gradient would else count as 0."""
    x, y, lengths = torch.randn(2, 5, 4, requires_grad=True), torch.randn(2, 5, 4), torch.tensor([5, 3])
    value = solver(x, y, lengths, lengths).value.sum()
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.grad(value, x, create_graph=True)
    assert torch.autograd.grad(value, x)[0].abs().sum() > 0


@pytest.mark.parametrize("options", [{}, {"gradient": "unrolled"}, {"backend": "batched"}])
def test_what_builds_the_plan_keeps_no_graph_alive(options):
    """The costs' graph holds the cost, and the states' projections; both may go when the value has gone."""
    case, cost = clouds([5, 4], [3, 3]).leaves(), Cosine()
    result = Sinkhorn(max_iterations=20, **options)(*case, cost=cost)
    expected, graph, build_plan = result.plan(), weakref.ref(cost), result.build_plan
    del result, cost
    gc.collect()
    assert graph() is None
    assert torch.equal(build_plan(), expected)
