"""Unbalanced entropic transport: penalties in place of marginals, so that some states may stay unmatched."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aista.losses.solvers.base import OTResult, Solver
from aista.losses.solvers.entropic import Entropic, solve
from aista.losses.solvers.problem import Problem
from aista.registry import register
from aista.schema import option

__all__ = ["Unbalanced"]

LARGEST_RHO = 1e30  # fp32 ends at 3e38


@register("ot_solver", "unbalanced")
@dataclass(frozen=True, kw_only=True)
class Unbalanced(Entropic, Solver):
    """Entropic transport with KL-penalised marginals: some states may stay unmatched.

    ``min_P <P, C> + eps KL(P | a b^T) + rho_x KL(P 1 | a) + rho_y KL(P^T 1 | b)``; the value is the whole objective,
    penalties included. Cost: as ``sinkhorn``, without over-relaxation and polish unless both strengths are inf.

    Choose it where speech holds states that no token explains (pauses, fillers, noise): a state whose cheapest match
    costs much more than ``rho`` loses its mass instead of dragging a token along.

    Source: Chizat et al. 2018 (arXiv 1607.05816).

    Examples:
        >>> x, y, lengths = torch.randn(1, 5, 8), torch.randn(1, 5, 8), torch.tensor([5])
        >>> result = Unbalanced(rho_x=0.5, rho_y=float("inf"))(x, y, lengths, lengths)
        >>> result.plan().sum(1)
        tensor([[0.2000, 0.2000, 0.2000, 0.2000, 0.2000]])
    """

    rho_x: float = option(
        1.0,
        "Strength of the penalty on the speech marginal, in units of the cost; 0 drops it, .inf makes it exact.",
        minimum=0,
        finite=False,
    )
    rho_y: float = option(1.0, "Likewise on the text marginal.", minimum=0, finite=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, rho in (("rho_x", self.rho_x), ("rho_y", self.rho_y)):
            if not (rho in (0, math.inf) or 1 / LARGEST_RHO <= rho <= LARGEST_RHO):
                span = f"from {1 / LARGEST_RHO:g} to {LARGEST_RHO:g}"
                raise ValueError(f"{name} must be 0 (no penalty), {span}, or .inf (exact marginal), got {rho:g}")

    @property
    def rho(self) -> tuple[float, float]:
        return self.rho_x, self.rho_y

    def solve(self, problem: Problem) -> OTResult:
        """Iterate until the marginals deviate by what the penalties prescribe."""
        return solve(problem, self)
