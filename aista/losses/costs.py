"""Pairwise ground costs between two sequences of states, and the positional term.

S, T: positions of the two sequences; D: their width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from aista.losses.arguments import described
from aista.registry import build, register
from aista.schema import Component

__all__ = ["Cosine", "Cost", "Euclidean", "ExplicitCost", "SqEuclidean", "position_cost", "resolve_cost"]


class Cost(Protocol):
    """A component of kind ``cost``: differentiable, ``[..., S, D] x [..., T, D] -> [..., S, T]``.

    The solvers call it with one sample's content at a time, never with padding, in fp32 or fp64.
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the cost of matching each row of ``x`` with each row of ``y``."""
        ...


class ExplicitCost(ABC):
    """A cost with its gradient written out: the solvers then need no tape for each sample.

    Derive from it where a cost is called for many short samples; a plain :class:`Cost` gives the same results.
    """

    @abstractmethod
    def statistics(self, states: Tensor) -> Tensor:
        """``[..., R, D] -> [..., R, 1]``: what the cost needs of each state, from that state alone.

        Computed for a padded batch at once, and not differentiated: ``backward`` accounts for it.
        """

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor, x_statistics: Tensor, y_statistics: Tensor) -> tuple[Tensor, Saved]:
        """The costs ``[..., S, T]``, in a new tensor, and what ``backward`` needs."""

    @abstractmethod
    def backward(self, saved: Saved, grad: Tensor, x_grad: Tensor | None, y_grad: Tensor | None) -> None:
        """Write the sides' gradients, where wanted, given the costs' gradient ``[..., S, T]``."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return cast(Tensor, _Explicit.apply(self, x, y))  # type: ignore[no-untyped-call]


Saved = tuple[Tensor, ...]


class _Explicit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cost: ExplicitCost, x: Tensor, y: Tensor) -> Tensor:
        ctx.cost = cost
        value, saved = cost.forward(x, y, cost.statistics(x), cost.statistics(y))
        ctx.save_for_backward(x, y, *saved)
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, *saved = ctx.saved_tensors
        grads = [
            torch.empty_like(z) if need else None for z, need in zip((x, y), ctx.needs_input_grad[1:], strict=True)
        ]
        ctx.cost.backward(tuple(saved), grad, *grads)
        return None, *grads


@register("cost", "cosine")
class Cosine(ExplicitCost):
    """Cosine distance ``1 - <x, y> / (|x| |y|)``, in [0, 2].

    Choose it (the default) for states of a network: it ignores their norms, which differ between
    modalities and layers. A zero state costs 1 to everything and receives no gradient.
    """

    def statistics(self, states: Tensor) -> Tensor:
        """One over the norms; 0 for a state of norm 0."""
        norm: Tensor = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
        return norm.reciprocal().masked_fill_(norm == 0, 0.0)

    def forward(self, x: Tensor, y: Tensor, x_statistics: Tensor, y_statistics: Tensor) -> tuple[Tensor, Saved]:
        """The distances, from one matrix product; no normalised copy of the states is made."""
        cosine = (x @ y.mT).mul_(x_statistics).mul_(y_statistics.mT)
        return 1 - cosine, (x, y, x_statistics, y_statistics, cosine)

    def backward(self, saved: Saved, grad: Tensor, x_grad: Tensor | None, y_grad: Tensor | None) -> None:
        """``d cos / dx = (y / |y| - cos x / |x|) / |x|``: the part along ``x`` takes sums of ``S x T`` alone."""
        x, y, inverse_x, inverse_y, cosine = saved
        along = grad * cosine
        across = (grad * inverse_x).mul_(inverse_y.mT)
        if x_grad is not None:
            radial = along.sum(-1, keepdim=True).mul_(inverse_x).mul_(inverse_x)
            _write(x_grad, x * radial, across, y)
        if y_grad is not None:
            radial = along.mT.sum(-1, keepdim=True).mul_(inverse_y).mul_(inverse_y)
            _write(y_grad, y * radial, across.mT, x)


@register("cost", "sqeuclidean")
class SqEuclidean:
    """Squared Euclidean distance ``|x - y|^2``.

    Choose it where norms carry meaning and both sides share a scale; its minimisers are barycentres.
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return _squared_distances(x, y)


@register("cost", "euclidean")
class Euclidean:
    """Euclidean distance ``|x - y|``: the ground cost of the Wasserstein-1 distance.

    Choose it over ``sqeuclidean`` where outlier states should not dominate. Its gradient is 0 where
    two states coincide.
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        squared = _squared_distances(x, y)
        coincide = squared == 0
        return torch.where(coincide, 0.0, torch.where(coincide, 1.0, squared).sqrt())


def position_cost(x_length: int, y_length: int, power: float, *, like: Tensor) -> Tensor:
    """The positional term ``|i/S - j/T|^power`` of one sample, in [0, 1).

    Speech and its transcript run in the same order, so a small weight on this term keeps a
    transport plan near the diagonal. Aista's choice, not part of the published method.

    Args:
        x_length: S, the sample's own length.
        y_length: T, the sample's own length.
        power: 1 for a term that grows evenly, 2 to forgive small shifts.
        like: Tensor whose dtype and device the result takes.

    Returns:
        ``[S, T]``.
    """
    i = torch.arange(x_length, device=like.device, dtype=like.dtype) / x_length
    j = torch.arange(y_length, device=like.device, dtype=like.dtype) / y_length
    return (i[:, None] - j[None, :]).abs().pow(power)


def resolve_cost(cost: str | Cost) -> Cost:
    """The registered cost of that name with its default options, or the callable itself.

    Raises:
        ConfigError: no cost has that name.
        ValueError: it is neither a name nor a callable.
    """
    if isinstance(cost, str):
        return cast(Cost, build("cost", Component(cost), at="cost"))
    if not callable(cost):
        raise ValueError(
            f"cost must be the name of a registered cost or a callable [S, D] x [T, D] -> [S, T], got "
            f"{described(cost)}; costs that are computed already go to aista.losses.from_cost"
        )
    return cost


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    # Distances ignore a common shift; taking one off keeps |x|^2 + |y|^2 - 2<x, y> from cancelling.
    shift = y[..., :1, :].detach()
    x, y = x - shift, y - shift
    squares = (x * x).sum(-1)[..., :, None] + (y * y).sum(-1)[..., None, :]
    return (squares - 2 * (x @ y.mT)).clamp_min(0.0)


def _write(out: Tensor, start: Tensor, left: Tensor, right: Tensor) -> None:
    """``out = start - left @ right``; uses up ``start``."""
    out.copy_(start.addmm_(left, right, alpha=-1) if start.dim() == 2 else start - left @ right)
