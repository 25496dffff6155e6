"""Rows of all data-parallel processes, with gradients, for losses whose negatives come from all of them."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, distributed
from torch.nn import functional

__all__ = ["gather_rows", "process_rank", "world_size"]


def world_size() -> int:
    """Processes of the default group; 1 without one."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def process_rank() -> int:
    """This process' number in the default group."""
    return distributed.get_rank() if world_size() > 1 else 0


def gather_rows(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Stack each tensor of every process along a new first dimension, padded with zeros to a common shape.

    Every process must call this with the same number of tensors and dimensions, and run backward through the
    result if any process does: the gradient of a row is the sum over all processes (an all-reduce), so that a
    loss over W processes has the gradients of one process that holds all rows.
    """
    if world_size() == 1:
        return tuple(tensor[None] for tensor in tensors)
    sizes = torch.tensor([size for tensor in tensors for size in tensor.shape], device=tensors[0].device)
    distributed.all_reduce(sizes, op=distributed.ReduceOp.MAX)
    largest, gathered = sizes.tolist(), []
    for tensor in tensors:
        shape, largest = largest[: tensor.dim()], largest[tensor.dim() :]
        margins = [m for size, local in zip(shape, tensor.shape, strict=True) for m in (size - local, 0)]
        padded = functional.pad(tensor, margins[::-1])
        gathered.append(cast(Tensor, _Gather.apply(padded)))  # type: ignore[no-untyped-call]
    return tuple(gathered)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.stack(parts)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.contiguous().clone()
        distributed.all_reduce(grad)
        return grad[process_rank()]
