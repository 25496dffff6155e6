"""Exact optimal transport between padded batches of states: POT's network simplex, one thread per sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from aista.losses.solvers.base import OTResult
from aista.losses.solvers.problem import Problem
from aista.losses.solvers.simplex import SimplexSolver, solve_each, transport
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register

__all__ = ["Exact"]


@register("ot_solver", "exact")
@dataclass(frozen=True, kw_only=True)
class Exact(SimplexSolver):
    """Exact transport: sharp plans and a subgradient, on the CPU. For plots and comparisons.

    ``min_P <P, C>`` under ``P 1 = a``, ``P^T 1 = b``. The plan has at most ``S + T - 1`` entries. The gradient is a
    subgradient (the value is piecewise linear in the costs): the plan by the costs, the dual potentials by the masses.
    Cost: a network simplex in fp64 on the CPU, samples in parallel threads; ``num_iterations`` is 0.

    Choose it to inspect plans, or to check an entropic loss against; for training, ``sinkhorn`` has a smooth gradient
    and runs where the states are.

    Source: Bonneel et al. 2011 (10.1145/2070781.2024192), as implemented in POT.

    Examples:
        >>> x, lengths = torch.randn(1, 4, 8), torch.tensor([4])
        >>> Exact()(x, x.flip(1), lengths, lengths).plan()[0].argmax(1)
        tensor([3, 2, 1, 0])
    """

    @uncompiled
    def solve(self, problem: Problem) -> OTResult:
        return solve_each(problem, partial(transport, max_iterations=self.max_iterations))
