"""A third party's optimal-transport solver: one file outside the package.

What you copy into your own project: this file, and two lines of the config::

    plugins: [./third_party_ot.py]          # relative to the config file
    alignment:
      - name: ot
        weight: 0.1
        config: {cost: {name: cosine}, solver: {name: monotone, config: {sharpness: 1.0}}}

``aista show ot_solver monotone --plugin third_party_ot.py`` then prints its options, and every other
part (costs, masses, layers, diagnostics, pictures of plans) works with it unchanged.

The solver keeps both sequences in order: it matches speech and text by the time their masses take, as
if the transcript were spoken at an even pace. A cheap baseline that tells how much a searched plan adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aista.losses import OTResult, Problem, Solver
from aista.registry import register
from aista.schema import option


@register("ot_solver", "monotone")
@dataclass(frozen=True, kw_only=True)
class Monotone(Solver):
    """The coupling of two sequences that keeps their order, mixed with the independent coupling."""

    sharpness: float = option(1.0, "1: strictly in order; 0: no matching, every pair alike.", minimum=0, maximum=1)

    def solve(self, problem: Problem) -> OTResult:
        """Transport ``problem.cost [N, S, T]``; the states are checked and folded already, without empty samples."""
        a, b = problem.x_mass, problem.y_mass
        with torch.no_grad():
            plan = self.sharpness * _overlaps(a, b) + (1 - self.sharpness) * a[:, :, None] * b[:, None, :]
            error = torch.maximum((plan.sum(2) - a).abs().sum(1), (plan.sum(1) - b).abs().sum(1))
        value = (plan * problem.cost).sum((1, 2))  # autograd does the rest: the plan does not depend on the states
        return OTResult.of(
            problem,
            value_N=value,
            transport_cost_N=value,
            potentials=(torch.zeros_like(a), torch.zeros_like(b)),
            marginal_error_N=error,
            converged_N=error.isfinite(),
            plan_NST=plan,
        )


def _overlaps(a: Tensor, b: Tensor) -> Tensor:
    """``[N, S, T]``: how long the i-th stretch of ``a`` and the j-th of ``b`` overlap on the line from 0 to 1."""
    a_end, b_end = a.cumsum(1), b.cumsum(1)
    end = torch.minimum(a_end[:, :, None], b_end[:, None, :])
    start = torch.maximum((a_end - a)[:, :, None], (b_end - b)[:, None, :])
    return (end - start).clamp_min(0)
