"""Contracts of kind ``cost``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aista.testing.contracts import contract
from aista.testing.tensors import assert_close, assert_returned, ramp

Cost = Callable[[Tensor, Tensor], Tensor]


@contract("cost")
def check_shapes(cost: Cost) -> None:
    """``[S, D] x [T, D] -> [S, T]`` in the inputs' dtype, finite, also for one state, equal states and zeros."""
    for s, t in ((5, 3), (1, 4), (4, 1), (1, 1)):
        for dtype in (torch.float32, torch.float64):
            x, y = ramp(s, 6, dtype=dtype), ramp(t, 6, seed=1, dtype=dtype)
            costs = cost(x, y)
            assert_returned(costs, Tensor, "costs [S, T]")
            assert list(costs.shape) == [s, t], f"[{s}, 6] x [{t}, 6] must give [{s}, {t}], got {list(costs.shape)}"
            assert costs.dtype == dtype, f"{dtype} inputs must give {dtype} costs, got {costs.dtype}"
            assert torch.isfinite(costs).all(), "costs must be finite"
    x = torch.cat([ramp(2, 6), torch.zeros(1, 6)]).requires_grad_(True)
    costs = cost(x, x.detach().clone())
    assert torch.isfinite(costs).all(), "equal states or a zero state give costs that are not finite"
    (grad,) = torch.autograd.grad(costs.sum(), x)
    assert torch.isfinite(grad).all(), "equal states or a zero state give gradients that are not finite"


@contract("cost")
def check_pairwise(cost: Cost) -> None:
    """Entry (i, j) depends on states i and j alone."""
    x, y = ramp(5, 6), ramp(4, 6, seed=1)
    costs = cost(x, y)
    assert_close(cost(x[2:3], y[1:2])[0, 0], costs[2, 1], "entry (i, j) depends on other states than i and j")
    assert not torch.allclose(costs, costs[:1]), "costs do not depend on x"
    assert not torch.allclose(costs, costs[:, :1]), "costs do not depend on y"


@contract("cost")
def check_leading_dimensions(cost: Cost) -> None:
    """Leading dimensions are kept: a batch gives what its samples give."""
    x, y = ramp(2, 3, 5, 6), ramp(2, 3, 4, 6, seed=1)
    costs = cost(x, y)
    assert list(costs.shape) == [2, 3, 5, 4], (
        f"[2, 3, 5, 6] x [2, 3, 4, 6] must give [2, 3, 5, 4], got {list(costs.shape)}"
    )
    assert_close(costs[1, 2], cost(x[1, 2], y[1, 2]), "a sample's costs depend on its batch")


@contract("cost")
def check_gradients(cost: Cost) -> None:
    """Gradients agree with central differences."""
    x = ramp(4, 5, dtype=torch.float64).requires_grad_(True)
    y = ramp(3, 5, seed=1, dtype=torch.float64).requires_grad_(True)
    try:
        torch.autograd.gradcheck(cost, (x, y))
    except RuntimeError as error:
        raise AssertionError(f"the gradient is wrong: {error}") from None
