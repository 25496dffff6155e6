"""The derivative of ``<P, C>`` in balanced entropic transport, by the implicit function theorem.

Differentiating ``P = a b exp((f + g - C) / eps)`` under fixed marginals and eliminating the
potentials' change gives

    d<P, C> / dC = P * (1 + (alpha + beta - C) / eps),

where ``diag(P 1) alpha + P beta = (P * C) 1`` and ``P^T alpha + diag(P^T 1) beta = (P * C)^T 1``;
``alpha`` and ``beta`` are the derivatives by the masses. Eliminating ``alpha`` leaves a T x T system.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem
from aista.losses.solvers.pairwise import aligned

__all__ = ["linear_derivatives"]


def linear_derivatives(task: EntropicProblem, ratio_NST: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of ``<P, C>`` by the costs ``[N, S, T]`` and the masses ``[N, S]``, ``[N, T]``.

    Exact at the optimum; like the envelope's, its error is first order in the marginal error.

    Args:
        task: Balanced problems.
        ratio_NST: ``P / (a b^T)`` at (nearly) optimal potentials, 0 in the padding.
    """
    by_cost, by_a, by_b = (torch.zeros_like(z) for z in (task.cost_NST, task.a_NS, task.b_NT))
    for n, (s, t) in enumerate(task.lengths_N2):
        one = task.sample(n)
        ratio = aligned(ratio_NST[n, :s, :t])
        by_cost[n, :s, :t], by_a[n, :s], by_b[n, :t] = _sample_derivatives(
            aligned(one.cost_NST[0]), one.a_NS[0], one.b_NT[0], float(one.epsilon_N), ratio
        )
    return by_cost, by_a, by_b


def _sample_derivatives(C: Tensor, a: Tensor, b: Tensor, eps: float, ratio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if not bool(ratio.isfinite().all()):
        return C * torch.nan, a * torch.nan, b * torch.nan
    # Conditional plans: defined for points without mass as well.
    rows = ratio * b
    rows = rows / rows.sum(1, keepdim=True)
    columns = ratio * a[:, None]
    columns = columns / columns.sum(0, keepdim=True)
    # Potentials are free up to a constant, which b b^T fixes; points without mass drop out.
    has_mass = b > 0
    P = a[:, None] * ratio * b
    mean_rows = (rows * C).sum(1)
    schur = torch.diag(torch.where(has_mass, P.sum(0), 1.0)) - P.mT @ rows + b[:, None] * b
    beta = torch.linalg.solve(schur, (P * C).sum(0) - P.mT @ mean_rows)
    alpha = mean_rows - rows @ beta
    beta = (columns * (C - alpha[:, None])).sum(0)
    return P * (1 + (alpha[:, None] + beta - C) / eps), alpha, beta
