"""Attaches a gradient computed by the solver to its value, without autograd through the iterations."""

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
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        # torch's once_differentiable lets a second derivative be 0 where grad_N is a constant, as that of a sum is.
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            raise RuntimeError(
                "the gradient of optimal transport cannot be differentiated again, which create_graph=True asks for: "
                "leave that out, or detach the loss from what is differentiated twice"
            )
        grads = [
            derivative * grad_N.reshape(-1, *[1] * (derivative.dim() - 1)) if needed else None
            for derivative, needed in zip(
                ctx.saved_tensors, ctx.needs_input_grad[1 : len(ctx.saved_tensors) + 1], strict=True
            )
        ]
        return (None, *grads, *[None] * len(grads))
