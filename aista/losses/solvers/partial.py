"""Partial optimal transport: only a given fraction of the mass is moved, where that is cheapest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aista.losses.solvers.base import OTResult
from aista.losses.solvers.problem import Problem
from aista.losses.solvers.simplex import SimplexSolver, Solved, solve_each, transport
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register
from aista.schema import option

__all__ = ["Partial"]

if TYPE_CHECKING:  # numpy is not needed to import this file
    from aista.losses.solvers.simplex import Array


@register("ot_solver", "partial")
@dataclass(frozen=True, kw_only=True)
class Partial(SimplexSolver):
    """Partial transport: the worst-fitting fraction of both sides stays unmatched. Exact, on the CPU.

    ``min_P <P, C>`` subject to ``P 1 <= a``, ``P^T 1 <= b`` and ``1^T P 1 = m``, where m is ``fraction``; at m = 1 it
    is ``exact``. A dummy state on each side takes the mass that stays, at no cost. The gradient is a subgradient: the
    plan by the costs, the potentials by the masses; where m < 1 these are at most 0: the cost that one more unit of
    mass there would save. The plan sums to m; ``marginal_error`` includes the dummies. Cost: as ``exact``.

    Choose it to inspect plans, or for training on the CPU, where a known share of the speech has no token (pauses,
    fillers): the states that fit worst get no gradient at all. ``unbalanced`` lets the cost decide how much stays, and
    is smooth.

    Source: Caffarelli and McCann 2010 (10.4007/annals.2010.171.673); Chapel et al. 2020 (arXiv 2002.08276).

    Examples:
        >>> x, y = torch.randn(1, 5, 8), torch.randn(1, 3, 8)
        >>> Partial(fraction=0.5)(x, y, torch.tensor([5]), torch.tensor([3])).plan().sum()
        tensor(0.5000)
    """

    fraction: float = option(0.8, "Fraction m of the mass that is moved; 1 is exact transport.", above=0, maximum=1)

    @property
    def balanced(self) -> bool:
        """Only where all mass is moved."""
        return self.fraction == 1

    @uncompiled
    def solve(self, problem: Problem) -> OTResult:
        """One network simplex per sample, dummies included."""
        return solve_each(problem, self._with_dummies)

    def _with_dummies(self, cost: Array, a: Array, b: Array) -> Solved:
        import numpy as np

        if self.fraction == 1:
            return transport(cost, a, b, self.max_iterations)
        # Above -min C the dummies never exchange mass, so that exactly the fraction moves between states.
        extended = np.pad(cost, (0, 1))
        extended[-1, -1] = 2 * np.abs(cost).max() or 1.0
        stays = 1 - self.fraction
        whole = transport(extended, np.append(a, stays), np.append(b, stays), self.max_iterations)
        plan, f, g = whole.plan[:-1, :-1], whole.f[:-1] + whole.g[-1], whole.g[:-1] + whole.f[-1]
        return whole._replace(plan=plan, f=f, g=g, value=float((plan * cost).sum()))
