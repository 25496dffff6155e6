"""The padded cost matrix of a batch, computed sample by sample on content only.

Each sample's matrix products have that sample's own shape, so padding is never read, batch
composition cannot change a result by even a bit, and no work is spent on padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from aista.losses.arguments import described
from aista.losses.costs import Cost, ExplicitCost, position_cost, working_dtype

__all__ = ["aligned", "no_autocast", "padded_costs"]

ALIGNMENT = 64  # bytes; how a matrix product rounds may depend on where its operands start


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
        ValueError: the cost returns anything but a tensor ``[S_n, T_n]``, or would itself need a gradient.
    """
    arguments = (x, y, tuple(samples), cost, position_weight, position_power, torch.is_grad_enabled())
    with no_autocast(x.device):
        return cast(Tensor, _PaddedCosts.apply(*arguments))  # type: ignore[no-untyped-call]


class _PaddedCosts(torch.autograd.Function):
    """Keeps what each sample's gradient needs and writes that straight into the padded one."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        samples: tuple[tuple[int, int, int], ...],
        cost: Cost,
        position_weight: float,
        position_power: float,
        grad_enabled: bool,
    ) -> Tensor:
        dtype = working_dtype(x, y)
        size = [max((sample[side] for sample in samples), default=0) for side in (1, 2)]
        costs = torch.zeros(len(samples), *size, dtype=dtype, device=x.device)
        needed = ctx.needs_input_grad[:2]
        ctx.save_for_backward(x, y)  # so that backward refuses states that were changed in place
        ctx.samples = samples
        x, y = x.to(dtype), y.to(dtype)
        pairs = ctx.pairs = (
            _ExplicitPairs(cost, x, y, needed)
            if isinstance(cost, ExplicitCost)
            else _TapedPairs(cost, needed, grad_enabled)
        )
        x_rows, y_rows, out = x.unbind(), y.unbind(), costs.unbind()
        for n, (row, s, t) in enumerate(samples):
            cost_n = pairs.forward(x_rows[row][:s], y_rows[row][:t], row)
            if not isinstance(cost_n, Tensor) or cost_n.shape != (s, t):
                rule = f"a cost must map [{s}, D] x [{t}, D] to a tensor [{s}, {t}]"
                raise ValueError(f"{rule}, but {cost!r} returned {described(cost_n)}")
            out[n][:s, :t] = cost_n
            if position_weight:
                out[n][:s, :t] += position_weight * position_cost(s, t, position_power, like=costs)
        return costs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grads = [
            _zeros_outside({row: lengths[side] for row, *lengths in ctx.samples}, like=z) if needed else None
            for side, (z, needed) in enumerate(zip(ctx.saved_tensors, ctx.needs_input_grad[:2], strict=True))
        ]
        rows = [out.unbind() if out is not None else None for out in grads]
        grad_N = grad.unbind()
        with no_autocast(grad.device):
            for n, (row, s, t) in enumerate(ctx.samples):
                outs = [z[row][:length] if z is not None else None for z, length in zip(rows, (s, t), strict=True)]
                ctx.pairs.backward(n, aligned(grad_N[n][:s, :t]), *outs)
        return (*grads, None, None, None, None, None)


def _zeros_outside(lengths: dict[int, int], *, like: Tensor) -> Tensor:
    """``[M, R, D]``, undefined in the first positions of the rows that have a length, and 0 everywhere else."""
    padded = torch.empty_like(like, memory_format=torch.contiguous_format)
    for row, states in enumerate(padded.unbind()):
        states[lengths.get(row, 0) :].zero_()
    return padded


class _ExplicitPairs:
    """Samples of a cost that knows its own gradient; its row statistics are taken of the whole batch at once."""

    def __init__(self, cost: ExplicitCost, x: Tensor, y: Tensor, needed: tuple[bool, bool]) -> None:
        self.cost, self.needed = cost, needed
        self.x_statistics, self.y_statistics = cost.statistics(x).unbind(), cost.statistics(y).unbind()
        self.saved: list[tuple[Tensor, ...]] = []

    def forward(self, x_n: Tensor, y_n: Tensor, row: int) -> Tensor:
        statistics = self.x_statistics[row][: len(x_n)], self.y_statistics[row][: len(y_n)]
        cost_n, saved = self.cost.forward(aligned(x_n), aligned(y_n), *statistics)
        self.saved.append(saved if any(self.needed) else ())
        return cost_n

    def backward(self, n: int, grad_n: Tensor, x_grad: Tensor | None, y_grad: Tensor | None) -> None:
        self.cost.backward(self.saved[n], grad_n, x_grad, y_grad)


class _TapedPairs:
    """Samples of any other cost, with one small graph each."""

    def __init__(self, cost: Cost, needed: tuple[bool, bool], grad_enabled: bool) -> None:
        self.cost, self.needed, self.grad_enabled = cost, needed, grad_enabled
        self.graphs: list[tuple[tuple[Tensor, Tensor], Tensor]] = []

    def forward(self, x_n: Tensor, y_n: Tensor, row: int) -> Tensor:
        x_n, y_n = (aligned(z.detach()).requires_grad_(need) for z, need in zip((x_n, y_n), self.needed, strict=True))
        is_first = self.grad_enabled and not self.graphs
        with torch.set_grad_enabled(any(self.needed) or is_first):
            cost_n = self.cost(x_n, y_n)
        if is_first and _needs_more_than(cost_n, (x_n, y_n)):
            raise ValueError(
                f"the cost {self.cost!r} depends on tensors that require a gradient, which a solver cannot give them: "
                f"compute the costs yourself and pass them to aista.losses.from_cost, or detach those tensors"
            )
        self.graphs.append(((x_n, y_n), cost_n))
        return cost_n

    def backward(self, n: int, grad_n: Tensor, x_grad: Tensor | None, y_grad: Tensor | None) -> None:
        sides, cost_n = self.graphs[n]
        wanted = [(z, out) for z, out in zip(sides, (x_grad, y_grad), strict=True) if out is not None]
        grads: tuple[Tensor | None, ...] = (None,) * len(wanted)
        if cost_n.requires_grad:
            leaves = [z for z, _ in wanted]
            grads = torch.autograd.grad(cost_n, leaves, grad_n, retain_graph=True, allow_unused=True)
        for (_, out), part in zip(wanted, grads, strict=True):
            if part is None:
                out.zero_()
            else:
                out.copy_(part)


def _needs_more_than(value: Any, inputs: tuple[Tensor, ...]) -> bool:
    """Whether a leaf that is none of the inputs would get a gradient from the value."""
    if not isinstance(value, Tensor) or value.grad_fn is None:
        return getattr(value, "requires_grad", False) and not any(value is z for z in inputs)
    seen, ahead = set(), [value.grad_fn]
    while ahead:
        node = ahead.pop()
        leaf = getattr(node, "variable", None)
        if leaf is not None and not any(leaf is z for z in inputs):
            return True
        seen.add(node)
        ahead.extend(before for before, _ in node.next_functions if before is not None and before not in seen)
    return False
