"""Costs and masses of a padded batch at once, with a number of operations that does not depend on its samples.

For accelerators: lengths stay tensors, nothing is read back, and products are in the precision of the states (bf16 in,
fp32 out). What lies in the padding never matters. Values are not checked: where a mass is negative, or 0 over a whole
sample, that sample's masses are NaN, and so is its loss.
"""

from __future__ import annotations

from functools import cache
from logging import getLogger
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from aista.losses.arguments import check_devices
from aista.losses.costs import Cost, ExplicitCost, working_dtype
from aista.losses.masses import Mass, Uniform
from aista.losses.solvers.pairwise import no_autocast
from aista.types import length_mask

__all__ = ["Side", "costs", "shares", "takes"]

log = getLogger("aista.losses")


class Side(NamedTuple):
    """One side of all samples.

    Attributes:
        states_NRD: Padded states.
        lengths_N: Number of positions with content.
        counts_N1: The same, and 1 for an empty sample, to divide by.
        mask_NR: True where there is content.
    """

    states_NRD: Tensor
    lengths_N: Tensor
    counts_N1: Tensor
    mask_NR: Tensor

    @classmethod
    def of(cls, states_NRD: Tensor, lengths_N: Tensor) -> Side:
        """The side with these states and lengths."""
        mask_NR = length_mask(lengths_N, states_NRD.shape[1])
        return cls(states_NRD, lengths_N, lengths_N[:, None].clamp_min(1), mask_NR)


def takes(cost: Cost, *masses: Tensor | Mass) -> bool:
    """Whether cost and masses can be computed for a batch at once; if not, the log says so once."""
    refused = [_name(cost)] if _explicit(cost) is None else []
    refused += [_name(mass) for mass in masses if not (isinstance(mass, Tensor) or _own_batched(mass))]
    if refused and not torch.compiler.is_compiling():
        _announce(" and ".join(refused))
    return not refused


def costs(x: Side, y: Side, cost: Cost, position_weight: float, position_power: float) -> Tensor:
    """``[N, S, T]`` costs in fp32 (fp64 if an input is), finite in the padding where the content is; differentiable."""
    dtype = working_dtype(x.states_NRD, y.states_NRD)
    states = x.states_NRD, y.states_NRD
    if states[0].dtype != states[1].dtype or states[0].dtype == torch.float16:  # a plan's entries are too small for it
        states = states[0].to(dtype), states[1].to(dtype)
    with no_autocast(states[0].device):
        arguments = (*states, x.mask_NR, y.mask_NR, _explicit(cost))
        costs_NST = cast(Tensor, _BatchedCosts.apply(*arguments))  # type: ignore[no-untyped-call]
        if position_weight:
            i, j = (_positions(side, dtype) for side in (x, y))
            costs_NST = costs_NST + position_weight * (i[:, :, None] - j[:, None, :]).abs().pow(position_power)
    return costs_NST


def shares(name: str, mass: Tensor | Mass, side: Side) -> Tensor:
    """``[N, R]`` masses that sum to 1 over each sample's length, 0 in the padding, differentiable in given ones."""
    dtype = working_dtype(side.states_NRD)
    if isinstance(mass, Uniform):
        return side.mask_NR.to(dtype) / side.counts_N1
    if isinstance(mass, Tensor):
        check_devices(**{name: mass, "the states": side.states_NRD})
        values = mass
    else:
        values = mass(side.states_NRD.to(dtype))
    values = torch.where(side.mask_NR, values.to(dtype), 0.0)
    total = torch.where((values < 0).any(1, keepdim=True), torch.nan, values.sum(1, keepdim=True))
    return values / torch.where(side.lengths_N[:, None] > 0, total, 1.0)


class _BatchedCosts(torch.autograd.Function):
    """The costs and their gradient, from states that are 0 in the padding."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, x_mask: Tensor, y_mask: Tensor, cost: ExplicitCost) -> Tensor:
        x, y = (torch.where(mask[:, :, None], z, 0.0) for z, mask in ((x, x_mask), (y, y_mask)))
        value, saved = cost.forward(x, y, cost.statistics(x), cost.statistics(y))
        ctx.save_for_backward(x, y, *saved)
        ctx.cost = cost
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, *saved = ctx.saved_tensors
        x_needed, y_needed = ctx.needs_input_grad[:2]
        x_grad, y_grad = torch.empty_like(x) if x_needed else None, torch.empty_like(y) if y_needed else None
        with no_autocast(grad.device):
            ctx.cost.backward(tuple(saved), grad, x_grad, y_grad)
        return x_grad, y_grad, None, None, None


def _explicit(cost: Cost) -> ExplicitCost | None:
    explicit: ExplicitCost | None = cost if isinstance(cost, ExplicitCost) else _own_batched(cost)
    return explicit


def _own_batched(component: Any) -> Any:
    """Its attribute ``batched``, unless a subclass has another ``__call__`` than the class that says so."""
    for names in (getattr(component, "__dict__", {}), *(vars(owner) for owner in type(component).__mro__)):
        if "batched" in names:
            return names["batched"]
        if "__call__" in names:
            return None
    return None


def _name(component: Any) -> str:
    """Not its representation, which may differ at each call, and read values from a device."""
    return getattr(component, "__qualname__", type(component).__qualname__)


def _positions(side: Side, dtype: torch.dtype) -> Tensor:
    """``[N, R]``: ``i / R_n``."""
    steps = torch.arange(side.states_NRD.shape[1], device=side.lengths_N.device, dtype=dtype)
    return steps / side.counts_N1


@cache
def _announce(refused: str) -> None:
    log.info(
        "Optimal transport: %s can be computed sample by sample only, which is slow on an accelerator; "
        "aista.losses.costs and masses describe how to compute a component for a batch",
        refused,
    )
