"""The gradient that solvers attach, where there is no second one."""

from __future__ import annotations

import pytest
import torch

from aista.losses import Exact, Sinkhorn, Sliced


@pytest.mark.parametrize("solver", [Sinkhorn(), Exact(), Sliced()])
def test_a_gradient_of_the_gradient_is_refused(solver):
    """Of a sum, whose gradient is a constant, a penalty on the gradient would else count as 0."""
    x, y, lengths = torch.randn(2, 5, 4, requires_grad=True), torch.randn(2, 5, 4), torch.tensor([5, 3])
    value = solver(x, y, lengths, lengths).value.sum()
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.grad(value, x, create_graph=True)
    assert torch.autograd.grad(value, x)[0].abs().sum() > 0
