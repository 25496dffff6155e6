"""Balanced entropic optimal transport, by Sinkhorn's algorithm."""

from __future__ import annotations

from dataclasses import dataclass

from aista.losses.solvers.base import OTResult, Solver
from aista.losses.solvers.entropic import Balanced, solve
from aista.losses.solvers.problem import Problem
from aista.registry import register
from aista.schema import option

__all__ = ["Sinkhorn"]

VALUES = ("regularized", "linear")


@register("ot_solver", "sinkhorn")
@dataclass(frozen=True, kw_only=True)
class Sinkhorn(Balanced, Solver):
    """Balanced entropic transport: every state on each side is matched. The default solver for training.

    ``OT_eps = min_P <P, C> + eps KL(P | a b^T)``, subject to ``P 1 = a`` and ``P^T 1 = b``. Cost: ``2 S T`` per
    iteration, tens of them, and a few ``S T`` of memory. With backend ``triton``, other padding may change the last
    bits of a sample's result.

    Choose it for training: smooth, batched, cheap. Choose ``exact`` for a sharp plan, ``unbalanced`` where
    some states should stay unmatched (pauses, fillers), ``sinkhorn_divergence`` where the states must not contract.

    Source: Cuturi 2013 (arXiv 1306.0895); Schmitzer 2019 (arXiv 1610.06519) for absorbed scalings; Lehmann et al. 2020
    (arXiv 2012.12562) for over-relaxation.

    Examples:
        >>> x, y = torch.randn(2, 5, 8, requires_grad=True), torch.randn(2, 3, 8)
        >>> result = Sinkhorn(epsilon=0.2)(x, y, torch.tensor([5, 4]), torch.tensor([3, 2]))
        >>> result.value.sum().backward()
        >>> result.plan().sum((1, 2))
        tensor([1.0000, 1.0000])
    """

    value: str = option(
        "regularized", "What is minimised: OT_eps (regularized), or its <P, C> alone (linear).", choices=VALUES
    )

    def solve(self, problem: Problem) -> OTResult:
        return solve(problem, self)
