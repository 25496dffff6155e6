"""Partial optimal transport: a given share of the mass is moved, wherever that is cheapest; the rest stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from aista.losses.costs import Cost
from aista.losses.masses import AnyMass
from aista.losses.solvers.problem import Problem, from_cost, from_states
from aista.losses.solvers.result import OTResult
from aista.losses.solvers.simplex import Solved, check_max_iterations, solve_each, transport
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register
from aista.schema import option

__all__ = ["Partial", "PartialConfig", "partial", "partial_cost"]

if TYPE_CHECKING:  # numpy is not needed to import this file
    from aista.losses.solvers.simplex import Array


def partial(
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
    fraction: float = 0.8,
    max_iterations: int = 1_000_000,
) -> OTResult:
    """Least cost of moving the share ``m`` of the mass, for each sample.

    ``min_P <P, C>`` subject to ``P 1 <= a``, ``P^T 1 <= b`` and ``1^T P 1 = m``. Solved exactly: a dummy state on
    each side takes the mass that stays, at no cost. The gradient is a subgradient, as in
    :func:`aista.losses.solvers.exact.exact`: the plan by the costs, the potentials by the masses.

    Choose it to look at plans, or for training on the CPU, where a known share of the speech has no token
    (pauses, fillers): the states that fit worst get no gradient at all. The ``unbalanced`` solver lets
    the cost decide how much stays, and is smooth.

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
        fraction: The share m of the mass that is moved, in (0, 1]; 1 is exact transport.
        max_iterations: Most pivots of the simplex; ``converged`` is False for a sample that needs more.

    Returns:
        Value (with its gradient) and report per sample. The plan sums to m. The potentials ``f``, ``g`` are at most
        0 where m < 1: what one more unit of mass there would save. ``marginal_error`` counts the dummies in.

    Raises:
        ValueError: an argument is out of range or shapes disagree; the message names it.
        ConfigError: no cost has that name.

    Source: Caffarelli and McCann 2010 (10.4007/annals.2010.171.673); Chapel et al. 2020 (arXiv 2002.08276).
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
    return _solve(problem, fraction, max_iterations)


def partial_cost(
    cost: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    *,
    x_mass: AnyMass = None,
    y_mass: AnyMass = None,
    fraction: float = 0.8,
    max_iterations: int = 1_000_000,
) -> OTResult:
    """As :func:`partial`, from costs ``[..., S, T]`` that are already there."""
    return _solve(from_cost(cost, x_lengths, y_lengths, x_mass=x_mass, y_mass=y_mass), fraction, max_iterations)


@dataclass(frozen=True, kw_only=True)
class PartialConfig:
    """Options of partial transport."""

    fraction: float = option(0.8, "Share of the mass that is moved; 1 is exact transport.", above=0, maximum=1)
    max_iterations: int = option(1_000_000, "Most pivots of the network simplex.", minimum=1)


@register("ot_solver", "partial", config=PartialConfig)
class Partial:
    """Partial transport: the worst-fitting share of both sides stays unmatched. Exact, on the CPU."""

    def __init__(self, config: PartialConfig) -> None:
        self.config = config
        self.balanced = config.fraction == 1

    def __call__(self, x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor, **geometry: Any) -> OTResult:
        """Solve each sample. ``geometry``: cost, masses and positional term, as in :func:`partial`."""
        problem = from_states(x, y, x_lengths, y_lengths, **geometry)
        return _solve(problem, self.config.fraction, self.config.max_iterations)


@uncompiled
def _solve(problem: Problem, fraction: float, max_iterations: int) -> OTResult:
    check_max_iterations(max_iterations)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be greater than 0 and at most 1, got {fraction}")

    def solve_sample(cost: Array, a: Array, b: Array) -> Solved:
        return _with_dummies(cost, a, b, fraction, max_iterations)

    return solve_each(problem, solve_sample)


def _with_dummies(cost: Array, a: Array, b: Array, fraction: float, max_iterations: int) -> Solved:
    import numpy as np

    if fraction == 1:
        return transport(cost, a, b, max_iterations)
    # Above -min C the dummies never exchange mass, so that exactly the fraction moves between states.
    extended = np.pad(cost, (0, 1))
    extended[-1, -1] = 2 * np.abs(cost).max() or 1.0
    stays = 1 - fraction
    whole = transport(extended, np.append(a, stays), np.append(b, stays), max_iterations)
    plan, f, g = whole.plan[:-1, :-1], whole.f[:-1] + whole.g[-1], whole.g[:-1] + whole.f[-1]
    return whole._replace(plan=plan, f=f, g=g, value=float((plan * cost).sum()))
