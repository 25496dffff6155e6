"""Relaxed transport: every state is matched to its nearest on the other side; one marginal is dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn.ragged import weighted_sum
from aista.losses.solvers.base import OTResult, Solver
from aista.losses.solvers.problem import Problem, check_problems, choose
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register
from aista.schema import option
from aista.types import length_mask

__all__ = ["SIDES", "Relaxed"]

SIDES = ("x", "y", "both")


@register("ot_solver", "relaxed")
@dataclass(frozen=True, kw_only=True)
class Relaxed(Solver):
    """Relaxed transport: every state is matched to the nearest of the other side. The cheapest, without iterations.

    ``min_P <P, C>`` subject to ``P 1 = a`` alone is ``sum_i a_i min_j C_ij``; subject to ``P^T 1 = b`` alone,
    ``sum_j b_j min_i C_ij``. Both bound the exact cost from below, and so does the larger of the two. A state without
    mass is never the nearest. Of two equally near states the earlier one is taken. Within a ``window``, the nearest is
    looked for where ``|(i + 1/2) / S - (j + 1/2) / T| min(S, T) <= window``.

    ``plan()`` and the potentials are those of the side that moves; ``marginal_error`` is about its marginal, so 0;
    ``num_iterations`` is 0. Cost: time and memory of the cost matrix; the gradient is exact almost everywhere.

    Choose it as the cheapest baseline. It lets one state attract all others; ``sinkhorn`` does not.

    Source: Kusner et al. 2015, "From Word Embeddings To Document Distances" (RWMD); one-sided, with a window: Zhou et
    al. 2023 (arXiv 2305.14635).

    Examples:
        >>> x, y, lengths = torch.randn(1, 4, 8), torch.randn(1, 4, 8), torch.tensor([4])
        >>> bool(Relaxed()(x, y, lengths, lengths).value <= Exact()(x, y, lengths, lengths).value)
        True
    """

    side: str = option(
        "both",
        "Side whose marginal is kept: x (speech), y (text), or both: per sample the one that costs more.",
        choices=SIDES,
    )
    window: float | None = option(
        None,
        "Maximum distance of a match from the diagonal, in positions of the shorter side; null: no limit.",
        minimum=1,
    )

    @property
    def balanced(self) -> bool:
        """Never: one marginal is free."""
        return False

    @uncompiled
    def solve(self, problem: Problem) -> OTResult:
        """Send each state of the side to its nearest."""
        check_problems(problem)
        problem = problem.compact()
        with torch.no_grad():
            limited = problem if self.window is None else _within(problem, self.window)
            cost, plan, f, g = _solve_side(limited, self.side)
            finite = cost.isfinite()
            error = torch.where(finite, 0.0, cost)
        return OTResult.of_plan(problem, cost, plan, (f, g), marginal_error_N=error, converged_N=finite)


class _OneSided(NamedTuple):
    """Transport under one side's marginal alone; the potentials of the other side are 0."""

    cost_N: Tensor
    plan_NST: Tensor
    f_NS: Tensor
    g_NT: Tensor


def _within(problem: Problem, window: float) -> Problem:
    """The problem with infinite costs beyond ``window`` positions off the diagonal."""
    s, t = (lengths[:, None, None] for lengths in (problem.x_lengths, problem.y_lengths))
    i = torch.arange(problem.cost.shape[1], device=s.device)[:, None]
    j = torch.arange(problem.cost.shape[2], device=s.device)
    # 2 S T times the distance: whole numbers, so that no rounding decides who is just within the window.
    distance = ((2 * i + 1) * t - (2 * j + 1) * s).abs() * torch.minimum(s, t)
    is_far = distance > 2 * s * t * window
    return replace(problem, cost=problem.cost.masked_fill(is_far, torch.inf))


def _solve_side(problem: Problem, side: str) -> _OneSided:
    cost, a, b = problem.cost, problem.x_mass, problem.y_mass
    x_lengths, y_lengths = problem.x_lengths, problem.y_lengths
    if side == "x":
        distance, plan = _to_nearest(cost, a, b, x_lengths)
        return _OneSided(weighted_sum(distance, a), plan, distance, torch.zeros_like(b))
    if side == "y":
        distance, plan = _to_nearest(cost.mT, b, a, y_lengths)
        return _OneSided(weighted_sum(distance, b), plan.mT, torch.zeros_like(a), distance)
    x_side, y_side = _solve_side(problem, "x"), _solve_side(problem, "y")
    x_costs_more = x_side.cost_N >= y_side.cost_N
    return _OneSided(*choose(x_costs_more, x_side, y_side))


def _to_nearest(cost: Tensor, mass: Tensor, other_mass: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of each row to the nearest column that has mass, and the plan that sends it there; 0 in the padding."""
    if not lengths.numel():
        return torch.zeros_like(mass), torch.zeros_like(cost)
    distance, nearest = cost.masked_fill((other_mass == 0)[:, None, :], torch.inf).min(2)
    plan = torch.zeros_like(cost).scatter_(2, nearest[:, :, None], mass[:, :, None])
    return distance.masked_fill(~length_mask(lengths, mass.shape[1]), 0.0), plan
