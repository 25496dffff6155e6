"""Gives a value the gradient that its solver knows, with no tape over the solver's iterations."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

__all__ = ["with_gradient"]


def with_gradient(value_N: Tensor, *sources: tuple[Tensor, Tensor]) -> Tensor:
    """``value_N`` as a function of the tensors it was computed from.

    Args:
        value_N: ``[N]``, computed without autograd.
        sources: Pairs of a tensor ``[N, ...]`` (costs, masses, states) and the values' derivative by it.
    """
    inputs, derivatives = zip(*sources, strict=True)
    known = (*inputs, *(derivative.detach() for derivative in derivatives))
    return cast(Tensor, _KnownGradient.apply(value_N.detach(), *known))  # type: ignore[no-untyped-call]


class _KnownGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors[len(tensors) // 2 :])
        return value.view_as(value)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        grads = [
            derivative * grad_N.reshape(-1, *[1] * (derivative.dim() - 1)) if needed else None
            for derivative, needed in zip(
                ctx.saved_tensors, ctx.needs_input_grad[1 : len(ctx.saved_tensors) + 1], strict=True
            )
        ]
        return (None, *grads, *[None] * len(grads))
