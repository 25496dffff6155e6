"""The padded cost matrix of a batch, computed sample by sample on content only.

Each sample's matrix products have that sample's own shape, so padding is never read, batch
composition cannot change a result by even a bit, and no work is spent on padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from aista.losses.costs import Cost, position_cost

__all__ = ["aligned", "no_autocast", "padded_costs", "working_dtype"]

ALIGNMENT = 64  # bytes; how a matrix product rounds may depend on where its operands start


def working_dtype(*tensors: Tensor) -> torch.dtype:
    """fp64 where any tensor is fp64, else fp32."""
    return torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32


def no_autocast(device: torch.device) -> torch.autocast:
    """A context in which operations keep the dtype of their inputs."""
    return torch.autocast(device.type, enabled=False)


def aligned(tensor: Tensor) -> Tensor:
    """The same values, contiguous from an address at which matrix products always round alike."""
    tensor = tensor.contiguous()
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT else tensor


def padded_costs(
    x: Tensor,
    y: Tensor,
    samples: Sequence[tuple[int, int, int]],
    cost: Cost,
    position_weight: float = 0.0,
    position_power: float = 1.0,
) -> Tensor:
    """Costs of the listed samples, 0 in the padding, differentiable in ``x`` and ``y``.

    Args:
        x: ``[M, S, D]`` padded states.
        y: ``[M, T, D]`` padded states.
        samples: ``(row, S_n, T_n)`` of each of the N samples, lengths at least 1.
        cost: Called as ``cost([S_n, D], [T_n, D])``.
        position_weight: Weight of ``|i/S_n - j/T_n|^power``.
        position_power: That power.

    Returns:
        ``[N, max S_n, max T_n]`` in fp64 if an input is fp64, else fp32.

    Raises:
        ValueError: the cost returns another shape than ``[S_n, T_n]``.
    """
    arguments = (x, y, tuple(samples), cost, position_weight, position_power)
    with no_autocast(x.device):
        return cast(Tensor, _PaddedCosts.apply(*arguments))  # type: ignore[no-untyped-call]


class _PaddedCosts(torch.autograd.Function):
    """Keeps one small graph per sample and writes each sample's gradient straight into the padded one."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        samples: tuple[tuple[int, int, int], ...],
        cost: Cost,
        position_weight: float,
        position_power: float,
    ) -> Tensor:
        dtype = working_dtype(x, y)
        size = [max((sample[side] for sample in samples), default=0) for side in (1, 2)]
        costs = torch.zeros(len(samples), *size, dtype=dtype, device=x.device)
        ctx.inputs = ((x.shape, x.dtype), (y.shape, y.dtype))
        ctx.parts = []
        for n, (row, s, t) in enumerate(samples):
            x_n = _content(x[row, :s], dtype, ctx.needs_input_grad[0])
            y_n = _content(y[row, :t], dtype, ctx.needs_input_grad[1])
            with torch.set_grad_enabled(True):
                cost_n = cost(x_n, y_n)
            if cost_n.shape != (s, t):
                raise ValueError(
                    f"a cost must map [{s}, D] x [{t}, D] to [{s}, {t}], but {cost!r} returned {list(cost_n.shape)}"
                )
            costs[n, :s, :t] = cost_n.detach()
            if position_weight:
                costs[n, :s, :t] += position_weight * position_cost(s, t, position_power, like=costs)
            ctx.parts.append((row, x_n, y_n, cost_n))
        return costs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grads = [
            torch.zeros(shape, dtype=dtype, device=grad.device) if needed else None
            for (shape, dtype), needed in zip(ctx.inputs, ctx.needs_input_grad[:2], strict=True)
        ]
        costs, cost_grads, sides = [], [], []
        for n, (row, x_n, y_n, cost_n) in enumerate(ctx.parts):
            if cost_n.requires_grad:
                costs.append(cost_n)
                cost_grads.append(aligned(grad[n, : cost_n.shape[0], : cost_n.shape[1]]))
                sides += [(row, z, out) for z, out in zip((x_n, y_n), grads, strict=True) if out is not None]
        if not costs:
            return (*grads, None, None, None, None)
        with no_autocast(grad.device):
            parts = torch.autograd.grad(
                costs, [z for _, z, _ in sides], cost_grads, retain_graph=True, allow_unused=True
            )
        for part, (row, z, out) in zip(parts, sides, strict=True):
            if part is not None:
                out[row, : z.shape[0]] = part
        return (*grads, None, None, None, None)


def _content(states: Tensor, dtype: torch.dtype, needs_grad: bool) -> Tensor:
    return aligned(states.detach().to(dtype)).requires_grad_(needs_grad)
