"""Relaxed transport: every state goes to its nearest on the other side; one marginal is held, the other is free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aista.losses.costs import Cost
from aista.losses.kernels.sinkhorn.ragged import ragged_sum
from aista.losses.masses import AnyMass
from aista.losses.solvers.gradient import with_gradient
from aista.losses.solvers.problem import Problem, from_cost, from_states
from aista.losses.solvers.result import OTResult
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register
from aista.schema import option
from aista.types import length_mask

__all__ = ["Relaxed", "RelaxedConfig", "relaxed", "relaxed_cost"]

SIDES = ("x", "y", "both")


def relaxed(
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
    side: str = "both",
    window: float | None = None,
) -> OTResult:
    """Cost of moving every state to its nearest: transport with one of the two marginals dropped.

    ``min_P <P, C>`` subject to ``P 1 = a`` alone is ``sum_i a_i min_j C_ij``; subject to ``P^T 1 = b`` alone,
    ``sum_j b_j min_i C_ij``. Both bound the exact cost from below, and so does the larger of the two. States
    without mass are nobody's nearest. Where two are equally near, the earlier one is taken.

    Choose it as the cheapest baseline: no iterations, an exact gradient, time and memory of the cost matrix. It
    lets one state attract all others; :func:`aista.losses.solvers.sinkhorn.sinkhorn` does not.

    Args:
        x: ``[..., S, D]`` states; leading dimensions (layers, batch) are folded.
        y: ``[..., T, D]`` states.
        x_lengths: ``[...]`` how many of the S positions are content. Padding is never read.
        y_lengths: ``[...]``. A sample with an empty side has value 0 and zero gradient.
        x_mass: As in ``sinkhorn``.
        y_mass: As in ``sinkhorn``.
        cost: As in ``sinkhorn``.
        position_weight: As in ``sinkhorn``.
        position_power: As in ``sinkhorn``.
        side: Whose marginal is held: ``"x"`` (each x finds its nearest y), ``"y"``, or ``"both"``: sample by sample
            the one that costs more.
        window: How far from the diagonal the nearest state is looked for, at least 1, in positions of the shorter
            sequence: ``|(i + 1/2) / S - (j + 1/2) / T| min(S, T) <= window``. None looks everywhere.

    Returns:
        Value (with its gradient) and report per sample. ``plan()`` and the potentials are those of the held side;
        ``marginal_error`` is about the held marginal, so 0; ``num_iterations`` is 0.

    Raises:
        ValueError: an argument is out of range or shapes disagree; the message names it.
        ConfigError: no cost has that name.

    Source: Kusner et al. 2015, "From Word Embeddings To Document Distances" (RWMD); one-sided, with a
    window: Zhou et al. 2023 (arXiv 2305.14635).
    """
    problem = from_states(
        x,
        y,
        x_lengths,
        y_lengths,
        cost=cost,
        x_mass=x_mass,
        y_mass=y_mass,
        position_weight=position_weight,
        position_power=position_power,
    )
    return _solve(problem, side, window)


def relaxed_cost(
    cost: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    *,
    x_mass: AnyMass = None,
    y_mass: AnyMass = None,
    side: str = "both",
    window: float | None = None,
) -> OTResult:
    """As :func:`relaxed`, from costs ``[..., S, T]`` that are already there."""
    return _solve(from_cost(cost, x_lengths, y_lengths, x_mass=x_mass, y_mass=y_mass), side, window)


@dataclass(frozen=True, kw_only=True)
class RelaxedConfig:
    """Options of relaxed transport."""

    side: str = option("both", "Whose states all move: x (speech), y (text), or whichever costs more.", choices=SIDES)
    window: float | None = option(
        None, "Farthest match from the diagonal, in positions of the shorter side; none: anywhere.", minimum=1
    )


@register("ot_solver", "relaxed", config=RelaxedConfig)
class Relaxed:
    """Relaxed transport: every state goes to its nearest. The cheapest baseline, without iterations."""

    balanced = False

    def __init__(self, config: RelaxedConfig) -> None:
        self.side = config.side
        self.window = config.window

    def __call__(self, x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor, **geometry: Any) -> OTResult:
        """Solve each sample. ``geometry``: cost, masses and positional term, as in :func:`relaxed`."""
        return _solve(from_states(x, y, x_lengths, y_lengths, **geometry), self.side, self.window)


class _Held(NamedTuple):
    """Transport that holds one side's marginal; the potentials of the other side are 0."""

    cost_N: Tensor
    plan_NST: Tensor
    f_NS: Tensor
    g_NT: Tensor


@uncompiled
def _solve(problem: Problem, side: str, window: float | None) -> OTResult:
    if side not in SIDES:
        raise ValueError(f"side must be one of {', '.join(SIDES)}, got {side!r}")
    if window is not None and not window >= 1:
        raise ValueError(f"window must be at least 1 position of the shorter side, got {window}")
    with torch.no_grad():
        solution = _hold(problem if window is None else _within(problem, window), side)
        finite = solution.cost_N.isfinite()
    plan, f, g = solution[1:]
    value = with_gradient(solution.cost_N, (problem.cost, plan), (problem.x_mass, f), (problem.y_mass, g))
    return OTResult(
        value=problem.restore(value),
        transport_cost=problem.restore(solution.cost_N),
        potentials=(problem.restore_padded(f, 0), problem.restore_padded(g, 1)),
        num_iterations=problem.restore(torch.zeros_like(finite, dtype=torch.long)),
        marginal_error=problem.restore(torch.where(finite, 0.0, solution.cost_N)),
        converged=problem.restore(finite, fill=True),
        build_plan=lambda: problem.restore_padded(plan, 0, 1),
    )


def _within(problem: Problem, window: float) -> Problem:
    """The problem with infinite costs beyond ``window`` positions off the diagonal."""
    s, t = torch.tensor(problem.samples, device=problem.cost.device).reshape(-1, 3)[:, 1:, None, None].unbind(1)
    i = torch.arange(problem.cost.shape[1], device=s.device)[:, None]
    j = torch.arange(problem.cost.shape[2], device=s.device)
    # 2 S T times the distance: whole numbers, so that no rounding decides who is just within the window.
    distance = ((2 * i + 1) * t - (2 * j + 1) * s).abs() * torch.minimum(s, t)
    is_far = distance > 2 * s * t * window
    return replace(problem, cost=problem.cost.masked_fill(is_far, torch.inf))


def _hold(problem: Problem, side: str) -> _Held:
    cost, a, b = problem.cost, problem.x_mass, problem.y_mass
    if side == "x":
        x_lengths = torch.tensor([s for _, s, _ in problem.samples], dtype=torch.long, device=cost.device)
        distance, plan = _to_nearest(cost, a, b, x_lengths)
        return _Held(ragged_sum(distance, a), plan, distance, torch.zeros_like(b))
    if side == "y":
        y_lengths = torch.tensor([t for _, _, t in problem.samples], dtype=torch.long, device=cost.device)
        distance, plan = _to_nearest(cost.mT, b, a, y_lengths)
        return _Held(ragged_sum(distance, b), plan.mT, torch.zeros_like(a), distance)
    x_side, y_side = _hold(problem, "x"), _hold(problem, "y")
    x_costs_more = x_side.cost_N >= y_side.cost_N
    return _Held(
        *(
            torch.where(x_costs_more.reshape(-1, *[1] * (u.dim() - 1)), u, v)
            for u, v in zip(x_side, y_side, strict=True)
        )
    )


def _to_nearest(cost: Tensor, mass: Tensor, other_mass: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of each row to the nearest column that has mass, and the plan that sends it there; 0 in the padding."""
    if not lengths.numel():
        return torch.zeros_like(mass), torch.zeros_like(cost)
    distance, nearest = cost.masked_fill((other_mass == 0)[:, None, :], torch.inf).min(2)
    plan = torch.zeros_like(cost).scatter_(2, nearest[:, :, None], mass[:, :, None])
    return distance.masked_fill(~length_mask(lengths, mass.shape[1]), 0.0), plan
