"""Exact optimal transport between padded batches of states: POT's network simplex, one thread per sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from aista.losses.costs import Cost
from aista.losses.masses import AnyMass
from aista.losses.solvers.problem import Problem, from_cost, from_states
from aista.losses.solvers.result import OTResult
from aista.losses.solvers.simplex import check_max_iterations, solve_each, transport
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register
from aista.schema import option

__all__ = ["Exact", "ExactConfig", "exact", "exact_cost"]


def exact(
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
    max_iterations: int = 1_000_000,
) -> OTResult:
    """Optimal transport cost ``min_P <P, C>`` under ``P 1 = a``, ``P^T 1 = b``, for each sample.

    The plan has at most ``S + T - 1`` entries. The gradient is a subgradient (the value is piecewise
    linear in the costs): the plan by the costs, the dual potentials by the masses. Solved in fp64 on
    the CPU, samples in parallel threads.

    Choose it to look at plans, or to check an entropic loss against; for training,
    :func:`aista.losses.solvers.sinkhorn.sinkhorn` has a smooth gradient and runs where the states are.

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
        max_iterations: Most pivots of the simplex; ``converged`` is False for a sample that needs more.

    Returns:
        Value (with its gradient) and report per sample; ``num_iterations`` is 0.

    Raises:
        ValueError: an argument is out of range or shapes disagree; the message names it.
        ConfigError: no cost has that name.

    Source: Bonneel et al. 2011 (10.1145/2070781.2024192), as implemented in POT.
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
    return _solve(problem, max_iterations)


def exact_cost(
    cost: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    *,
    x_mass: AnyMass = None,
    y_mass: AnyMass = None,
    max_iterations: int = 1_000_000,
) -> OTResult:
    """As :func:`exact`, from costs ``[..., S, T]`` that are already there."""
    return _solve(from_cost(cost, x_lengths, y_lengths, x_mass=x_mass, y_mass=y_mass), max_iterations)


@dataclass(frozen=True, kw_only=True)
class ExactConfig:
    """Options of exact transport."""

    max_iterations: int = option(1_000_000, "Most pivots of the network simplex.", minimum=1)


@register("ot_solver", "exact", config=ExactConfig)
class Exact:
    """Exact transport: sharp plans and a subgradient, on the CPU. For pictures and comparisons."""

    def __init__(self, config: ExactConfig) -> None:
        self.max_iterations = config.max_iterations

    def __call__(self, x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor, **geometry: Any) -> OTResult:
        """Solve each sample. ``geometry``: cost, masses and positional term, as in :func:`exact`."""
        return _solve(from_states(x, y, x_lengths, y_lengths, **geometry), self.max_iterations)


@uncompiled
def _solve(problem: Problem, max_iterations: int) -> OTResult:
    check_max_iterations(max_iterations)
    return solve_each(problem, partial(transport, max_iterations=max_iterations))
