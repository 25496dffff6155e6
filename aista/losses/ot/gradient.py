"""Gives a value the gradient that its solver knows, with no tape over the solver's iterations."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

__all__ = ["with_gradient"]


def with_gradient(
    value_N: Tensor, cost: tuple[Tensor, Tensor], a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]
) -> Tensor:
    """``value_N`` as a function of the costs and masses.

    Args:
        value_N: ``[N]``, computed without autograd.
        cost: The costs ``[N, S, T]`` and the value's derivative by them.
        a: The masses ``[N, S]`` and the derivative by them.
        b: The masses ``[N, T]`` and the derivative by them.
    """
    inputs = (cost[0], a[0], b[0])
    derivatives = tuple(d.detach() for d in (cost[1], a[1], b[1]))
    value = _KnownGradient.apply(value_N.detach(), *inputs, *derivatives)  # type: ignore[no-untyped-call]
    return cast(Tensor, value)


class _KnownGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors[3:])
        return value.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        grads = [
            derivative * grad_N.reshape(-1, *[1] * (derivative.dim() - 1)) if needed else None
            for derivative, needed in zip(ctx.saved_tensors, ctx.needs_input_grad[1:4], strict=True)
        ]
        return (None, *grads, None, None, None)
