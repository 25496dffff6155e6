"""Sliced transport: the mean cost of sorting both sides along fixed random directions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from aista.losses.costs import Cosine, Cost, Euclidean, SqEuclidean, resolve_cost
from aista.losses.masses import AnyMass
from aista.losses.solvers.base import OTResult
from aista.losses.solvers.gradient import with_gradient
from aista.losses.solvers.pairwise import aligned, no_autocast
from aista.losses.solvers.problem import Problem, from_states
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register
from aista.schema import Options, option

__all__ = ["Sliced", "projections"]


@register("ot_solver", "sliced")
@dataclass(frozen=True, kw_only=True)
class Sliced(Options):
    """Sliced transport: sorts states along random directions. For the costs cosine, sqeuclidean and euclidean.

    ``SW = 1/K sum_k W(u_k^T x, u_k^T y)``, where on the line ``W`` is the integral over ``q`` in [0, 1] of
    ``|F^-1(q) - G^-1(q)|^p``: the q-quantiles of both sides meet, whatever their lengths and masses. Directions are
    sqrt(D) long, so that a squared distance keeps its size on average. p is 2 for ``sqeuclidean``, 1 for ``euclidean``;
    ``cosine`` is half of p = 2 on states of unit length, since ``1 - cos = |x - y|^2 / 2`` there. No other cost can be
    sliced, and positions are not defined on the lines, so ``position_weight`` must be 0.

    ``plan()`` is the mean of the K plans, ``transport_cost`` what it costs: more than exact transport. The potentials
    are the values' derivatives by the masses. Cost: ``K (S + T) (D + log(S + T))``.

    Choose it as a distance of distributions without regularisation or iterations. It moves both sides to one shape
    without saying which state belongs to which: the mean plan is diffuse, the more so the larger D. For a matching of
    states choose ``sinkhorn``.

    Source: Bonneel et al. 2015 (10.1007/s10851-014-0506-3).

    Examples:
        >>> x, lengths = torch.randn(1, 4, 8), torch.tensor([4])
        >>> bool(Sliced(num_projections=8)(x, x.flip(1), lengths, lengths).value < 1e-6)
        True
    """

    num_projections: int = option(
        64,
        "Number K of random directions; the value's noise from their choice falls as 1 / sqrt(K).",
        minimum=1,
        maximum=1_000_000,
    )
    seed: int = option(0, "Seed of the directions, which are the same in every call.", minimum=0)

    @uncompiled
    def __call__(
        self,
        x: Tensor,
        y: Tensor,
        x_lengths: Tensor,
        y_lengths: Tensor,
        *,
        x_mass: AnyMass = None,
        y_mass: AnyMass = None,
        cost: str | Cost = "cosine",
        position_weight: float = 0.0,
        position_power: float = 1.0,
    ) -> OTResult:
        """Compare each sample's ``x`` with its ``y``; the arguments are those of :meth:`Solver.__call__`."""
        problem = from_states(
            x,
            y,
            x_lengths,
            y_lengths,
            x_mass=x_mass,
            y_mass=y_mass,
            cost=cost,
            position_weight=position_weight,
            position_power=position_power,
        ).compact()
        kind = resolve_cost(cost)
        self.check_geometry(kind, position_weight)
        sources = (_contents(problem, x, 0), _contents(problem, y, 1), problem.x_mass, problem.y_mass)
        directions = projections(x.shape[-1], self.num_projections, self.seed).to(problem.cost)
        return _solve(problem, sources, directions, kind)

    def solve(self, *problems: Problem) -> OTResult:
        """Raise ValueError: costs alone cannot be sliced."""
        raise ValueError("Sliced works on states, not on costs: call it as Sliced()(x, y, x_lengths, y_lengths)")

    def check_geometry(self, cost: Cost, position_weight: float) -> None:
        """Raise ValueError where the costs are not defined on a line; see :class:`OTSolver`."""
        if not isinstance(cost, (Cosine, Euclidean, SqEuclidean)):
            raise ValueError(f"the cost of sliced transport must be cosine, euclidean or sqeuclidean, got {cost!r}")
        if position_weight != 0:
            raise ValueError(f"position_weight must be 0 for sliced transport, got {position_weight}")


def projections(dim: int, num_projections: int, seed: int) -> Tensor:
    """``[dim, num_projections]`` fp64 directions of length sqrt(dim), uniform on that sphere."""
    directions = torch.randn(dim, num_projections, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    lengths: Tensor = torch.linalg.vector_norm(directions, dim=0)
    return directions * (math.sqrt(dim) / lengths)


def _solve(problem: Problem, sources: tuple[Tensor, ...], directions_DK: Tensor, kind: Cost) -> OTResult:
    """Transport along the directions; ``sources`` are the samples' x, y, a and b, differentiable."""
    derivatives, costs = [torch.zeros_like(z) for z in sources], problem.cost.detach()
    plan = torch.zeros_like(costs)
    value, transport_cost, error = (plan.new_zeros(len(problem.samples)) for _ in range(3))
    for n, (_, s, t) in enumerate(problem.samples):
        inputs = [aligned(z.detach()[n, :size]) for z, size in zip(sources, (s, t, s, t), strict=True)]
        with no_autocast(plan.device):
            value[n], gradients, part = _solve_sample(inputs, directions_DK, kind)
        for derivative, gradient in zip(derivatives, gradients, strict=True):
            derivative[n, : gradient.shape[0]] = gradient
        plan[n, :s, :t] = part
        transport_cost[n] = (part * aligned(costs[n, :s, :t])).sum()
        error[n] = max((part.sum(1) - inputs[2]).abs().sum(), (part.sum(0) - inputs[3]).abs().sum())
    return OTResult.of(
        problem,
        value_N=with_gradient(value, *zip(sources, derivatives, strict=True)),
        transport_cost_N=transport_cost,
        potentials=(derivatives[2], derivatives[3]),
        marginal_error_N=error,
        converged_N=value.isfinite(),
        plan_NST=plan,
    )


def _contents(problem: Problem, states: Tensor, side: int) -> Tensor:
    """``[N, S' or T', D]`` states of the problem's samples in its dtype, differentiable."""
    rows = torch.tensor([sample[0] for sample in problem.samples], dtype=torch.long, device=states.device)
    folded = states.reshape(problem.leading.numel(), *states.shape[-2:])
    return folded[rows, : problem.cost.shape[1 + side]].to(problem.cost)


def _solve_sample(inputs: list[Tensor], directions_DK: Tensor, kind: Cost) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
    """Value, its derivatives by x, y, a and b, and the mean plan ``[S, T]`` of one sample."""
    with torch.set_grad_enabled(True):
        x, y, a, b = (z.detach().requires_grad_() for z in inputs)
        points = (_unit(z) if isinstance(kind, Cosine) else z for z in (x, y))
        (x_SK, x_order), (y_TK, y_order) = ((z @ directions_DK).sort(0) for z in points)
        i, j, mass = _quantile_coupling(a[x_order], b[y_order])
        distance = (x_SK.gather(0, i) - y_TK.gather(0, j)).abs()
        cost = distance if isinstance(kind, Euclidean) else distance.square()
        value = (mass * cost).sum() / directions_DK.shape[1] / (2 if isinstance(kind, Cosine) else 1)
    gradients = torch.autograd.grad(value, (x, y, a, b))
    pairs = (x_order.gather(0, i), y_order.gather(0, j))
    plan = value.new_zeros(len(x), len(y)).index_put(pairs, mass.detach() / directions_DK.shape[1], accumulate=True)
    return value.detach(), gradients, plan


def _quantile_coupling(a_SK: Tensor, b_TK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The plan that keeps sorted points in order, column by column.

    Walks through the quantiles at which a point of either side ends. ``S + T`` stretches, some of them empty, so that
    a point without mass has its stretch too.

    Returns:
        Which x and which y meet in each stretch, and the stretch's length, each ``[S + T, K]``.
    """
    num_x, num_y = a_SK.shape[0], b_TK.shape[0]
    ends, order = torch.cat([a_SK.cumsum(0), b_TK.cumsum(0)]).sort(dim=0, stable=True)
    ends_x = order < num_x
    i = (ends_x.cumsum(0) - ends_x.long()).clamp(max=num_x - 1)
    j = ((~ends_x).cumsum(0) - (~ends_x).long()).clamp(max=num_y - 1)
    return i, j, ends.diff(dim=0, prepend=torch.zeros_like(ends[:1]))


def _unit(states: Tensor) -> Tensor:
    """States of unit length; a zero state stays 0 and gets no gradient."""
    norm = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
    return torch.where(norm == 0, 0.0, states / torch.where(norm == 0, 1.0, norm))
