"""One Newton step on the semi-dual of balanced entropic transport, after the iterations.

With ``f`` eliminated by its soft c-transform, the dual is a concave function of ``g`` alone. Its gradient is what the
second marginal lacks, ``b - P^T 1``, and its Hessian is ``-(diag(P^T 1) - P^T diag(1 / a) P) / eps``: a T x T
Cholesky squares the marginal error, and with it the error of the envelope gradient.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn.problem import EntropicProblem
from aista.losses.ot.pairwise import aligned

__all__ = ["newton_step"]


def newton_step(
    task: EntropicProblem, f_NS: Tensor, g_NT: Tensor, ratio_NST: Tensor, samples: Iterable[int]
) -> tuple[Tensor, Tensor]:
    """The potentials, with those of the given samples one step on, each sample on its shorter side.

    Far from the optimum the step may overshoot, and where the plan falls into blocks the system may be singular: the
    result (perhaps not finite) is to be taken only where it has the smaller marginal error.

    Args:
        task: Balanced problems.
        f_NS: Potentials.
        g_NT: Likewise.
        ratio_NST: ``P / (a b^T)`` at these potentials, 0 in the padding.
        samples: Which of the N take the step.
    """
    f_NS, g_NT = f_NS.clone(), g_NT.clone()
    # Sample by sample in its own shape, so that neither padding nor the batch changes how products round.
    for n in samples:
        s, t = task.lengths_N2[n]
        ratio, a, b = ratio_NST[n, :s, :t], aligned(task.a_NS[n, :s]), aligned(task.b_NT[n, :t])
        if t <= s:
            f_change, g_change = _sample_step(aligned(ratio), a, b)
        else:
            g_change, f_change = _sample_step(aligned(ratio.mT), b, a)
        f_NS[n, :s] += task.epsilon_N[n] * f_change
        g_NT[n, :t] += task.epsilon_N[n] * g_change
    return f_NS, g_NT


def _sample_step(ratio: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Changes of ``f`` and ``g`` in units of epsilon, where ``g``'s side is the one solved for."""
    rows = ratio * b
    row_sums = rows.sum(1)
    rows = rows / row_sums[:, None]  # conditional plans: the first marginal is exact now
    columns = a @ rows
    # Potentials are free up to a constant, which b b^T fixes; points without mass drop out.
    hessian = torch.diag(torch.where(b > 0, columns, 1.0)) - rows.mT @ (a[:, None] * rows) + b[:, None] * b
    factor, _ = torch.linalg.cholesky_ex(hessian)
    g_change = torch.cholesky_solve((b - columns)[:, None], factor)[:, 0]
    return -(row_sums * (rows @ g_change.exp())).log(), g_change
