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

__all__ = [
    "Cosine",
    "Cost",
    "Euclidean",
    "ExplicitCost",
    "SqEuclidean",
    "inner_products",
    "position_cost",
    "resolve_cost",
    "working_dtype",
]


class Cost(Protocol):
    """A component of kind ``cost``: differentiable, ``[..., S, D] x [..., T, D] -> [..., S, T]``.

    The solvers call it with one sample's content at a time, never with padding, in fp32 or fp64.
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the cost of matching each row of ``x`` with each row of ``y``."""
        ...


class ExplicitCost(ABC):
    """A cost with an explicit gradient: solvers need no autograd graph per sample and can compute a batch at once.

    On an accelerator the solvers call it with all samples, ``[N, S, D]`` and ``[N, T, D]``, zero in the padding, in the
    precision of the states. Derive from it where a cost must be fast there, or is called for many short samples; or
    give a plain :class:`Cost` an attribute ``batched`` that holds one, used for batches only; a subclass with another
    ``__call__`` needs its own. The results are the same.
    """

    @abstractmethod
    def statistics(self, states: Tensor) -> Tensor:
        """Per-state quantities of the cost, such as norms: ``[..., R, D] -> [..., R, 1]`` in at least fp32.

        Computed for a padded batch at once, and not differentiated: ``backward`` accounts for it.
        """

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor, x_statistics: Tensor, y_statistics: Tensor) -> tuple[Tensor, Saved]:
        """The costs ``[..., S, T]`` in at least fp32, in a new tensor, and what ``backward`` needs."""

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
        norm: Tensor = torch.linalg.vector_norm(states, dim=-1, keepdim=True, dtype=working_dtype(states))
        return norm.reciprocal_().nan_to_num_(nan=torch.nan, posinf=0.0)

    def forward(self, x: Tensor, y: Tensor, x_statistics: Tensor, y_statistics: Tensor) -> tuple[Tensor, Saved]:
        """The distances, from one matrix product; no normalised copy of the states is made."""
        cosine = inner_products(x, y).mul_(x_statistics).mul_(y_statistics.mT)
        return 1 - cosine, (x, y, x_statistics, y_statistics, cosine)

    def backward(self, saved: Saved, grad: Tensor, x_grad: Tensor | None, y_grad: Tensor | None) -> None:
        """``d cos / dx = (y / |y| - cos x / |x|) / |x|``: the part along ``x`` takes sums of ``S x T`` alone."""
        x, y, inverse_x, inverse_y, cosine = saved
        along = grad * cosine
        across = (grad * inverse_x).mul_(inverse_y.mT).to(x.dtype)
        if x_grad is not None:
            radial = along.sum(-1, keepdim=True).mul_(inverse_x).mul_(inverse_x)
            _write(x_grad, x, radial, across, y)
        if y_grad is not None:
            radial = along.mT.sum(-1, keepdim=True).mul_(inverse_y).mul_(inverse_y)
            _write(y_grad, y, radial, across.mT, x)


class _SquaredDistances(ExplicitCost):
    """Squared distances of a batch."""

    def statistics(self, states: Tensor) -> Tensor:
        """Unused: the origin of the distances depends on both sides, so nothing is computed from one state."""
        return states[..., :1]

    def forward(self, x: Tensor, y: Tensor, x_statistics: Tensor, y_statistics: Tensor) -> tuple[Tensor, Saved]:
        """As ``SqEuclidean``. Products of half precision are exact in fp32: no shift is needed, which would round."""
        if x.dtype == working_dtype(x):
            shift = y[..., :1, :].sum(-2, keepdim=True)  # 0 where there is none
            x, y = x - shift, y - shift
        squares = (torch.linalg.vector_norm(z, dim=-1, dtype=working_dtype(z)).square_() for z in (x, y))
        sums = torch.add(*(square.unsqueeze(side) for square, side in zip(squares, (-1, -2), strict=True)))
        return sums.sub_(inner_products(x, y), alpha=2).clamp_min_(0.0), (x, y)

    def backward(self, saved: Saved, grad: Tensor, x_grad: Tensor | None, y_grad: Tensor | None) -> None:
        """``d|x - y|^2 / dx = 2 (x - y)``."""
        x, y = saved
        twice = 2 * grad
        across = twice.to(x.dtype)
        if x_grad is not None:
            _write(x_grad, x, twice.sum(-1, keepdim=True), across, y)
        if y_grad is not None:
            _write(y_grad, y, twice.mT.sum(-1, keepdim=True), across.mT, x)


class _Distances(_SquaredDistances):
    """Distances of a batch."""

    def forward(self, x: Tensor, y: Tensor, x_statistics: Tensor, y_statistics: Tensor) -> tuple[Tensor, Saved]:
        """The roots."""
        squares, (x, y) = super().forward(x, y, x_statistics, y_statistics)
        distance = squares.sqrt_()
        return distance, (x, y, distance)

    def backward(self, saved: Saved, grad: Tensor, x_grad: Tensor | None, y_grad: Tensor | None) -> None:
        """Half of one over the distance times that of its square; 0 where two states coincide."""
        x, y, distance = saved
        over = torch.where(distance == 0, 0.0, grad / distance)
        super().backward((x, y), over * 0.5, x_grad, y_grad)


@register("cost", "sqeuclidean")
class SqEuclidean:
    """Squared Euclidean distance ``|x - y|^2``.

    Choose it where norms carry meaning and both sides share a scale; its minimisers are barycentres.
    """

    batched = _SquaredDistances()

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return _squared_distances(x, y)


@register("cost", "euclidean")
class Euclidean:
    """Euclidean distance ``|x - y|``: the ground cost of the Wasserstein-1 distance.

    Choose it over ``sqeuclidean`` where outlier states should not dominate. Its gradient is 0 where
    two states coincide.
    """

    batched = _Distances()

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
        power: 1 for linear growth, 2 to tolerate small shifts.
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


def inner_products(x: Tensor, y: Tensor) -> Tensor:
    """``[..., S, D] x [..., T, D] -> [..., S, T]`` in at least fp32: half precision is multiplied as it is."""
    dtype = working_dtype(x)
    if x.dtype == dtype:
        return x @ y.mT
    if x.is_cuda and x.dim() == 3:
        return torch.bmm(x, y.mT, out_dtype=dtype)
    return x.to(dtype) @ y.to(dtype).mT


def working_dtype(*tensors: Tensor) -> torch.dtype:
    """The precision of costs: fp64 where any tensor is fp64, else fp32."""
    return torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32


def _write(out: Tensor, states: Tensor, factor: Tensor, left: Tensor, right: Tensor) -> None:
    """``out = states * factor - left @ right``."""
    if out.dim() == 3:
        torch.mul(states, factor, out=out).baddbmm_(left, right, alpha=-1)
    else:
        start = states * factor
        out.copy_(start.addmm_(left, right, alpha=-1) if start.dim() == 2 else start - left @ right)
