"""One Newton step on the semi-dual of balanced entropic transport, after the iterations.

With ``f`` eliminated by its soft c-transform, the dual is a concave function of ``g`` alone. Its gradient is what the
second marginal lacks, ``b - P^T 1``, and its Hessian is ``-(diag(P^T 1) - P^T diag(1 / a) P) / eps``: a T x T
system squares the marginal error, and with it the error of the envelope gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem
from aista.losses.kernels.sinkhorn.ragged import weighted_row_sum
from aista.losses.solvers.pairwise import aligned

__all__ = ["newton_step", "padded_newton_step", "second_side_step"]

ELIMINATED = 32  # largest system solved for all samples at once; above, one Cholesky each is faster


def newton_step(
    task: EntropicProblem, f_NS: Tensor, g_NT: Tensor, ratio_NST: Tensor, samples: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The potentials, with those of the given samples one step on, each sample on its shorter side.

    Far from the optimum the step may overshoot, and where the plan falls into blocks the system may be singular: the
    result (perhaps not finite) is to be taken only where it has the smaller marginal error.

    Args:
        task: Balanced problems.
        f_NS: Potentials.
        g_NT: Likewise.
        ratio_NST: ``P / (a b^T)`` at these potentials, 0 in the padding.
        samples: Indices of the samples that take the step.
    """
    f_NS, g_NT = f_NS.clone(), g_NT.clone()
    along_x = [n for n in samples if task.lengths_N2[n][0] < task.lengths_N2[n][1]]
    along_y = [n for n in samples if task.lengths_N2[n][0] >= task.lengths_N2[n][1]]
    _step(task, f_NS, g_NT, ratio_NST, along_y)
    _step(task.swapped(), g_NT, f_NS, ratio_NST.mT, along_x)
    return f_NS, g_NT


def padded_newton_step(task: EntropicProblem, f_NS: Tensor, g_NT: Tensor, ratio_NST: Tensor) -> tuple[Tensor, Tensor]:
    """As ``newton_step`` for all samples at once, equal to rounding; the system is that of the shorter padded side."""
    if f_NS.shape[1] < g_NT.shape[1]:
        g_NT, f_NS = padded_newton_step(task.swapped(), g_NT, f_NS, ratio_NST.mT)
        return f_NS, g_NT
    rows_NST = ratio_NST * task.b_NT[:, None]
    sums_NS = rows_NST.sum(2)
    sums_NS = torch.where(sums_NS == 0, 1.0, sums_NS)  # in the padding
    rows_NST /= sums_NS[:, :, None]
    f_change_NS, g_change_NT = second_side_step(task.a_NS, task.b_NT, rows_NST, sums_NS)
    epsilon_N1 = task.epsilon_N[:, None]
    f_change_NS = torch.where(task.x_mask, f_change_NS, 0.0)
    return f_NS + epsilon_N1 * f_change_NS, g_NT + epsilon_N1 * g_change_NT


def second_side_step(a_NS: Tensor, b_NT: Tensor, rows_NST: Tensor, sums_NS: Tensor) -> tuple[Tensor, Tensor]:
    """Changes of both potentials in units of epsilon, the second side's solved for; perhaps not finite.

    Args:
        a_NS: Masses.
        b_NT: Likewise.
        rows_NST: The plan's rows scaled to sum 1, 0 in the padding.
        sums_NS: Sums of the plan's rows relative to ``a``, and 1 where 0; modified.
    """
    weighted_NST = rows_NST * a_NS[:, :, None]
    columns_NT = weighted_NST.sum(1)
    # Potentials are free up to a constant, which b b^T fixes; points without mass drop out.
    system_NTT = b_NT[:, :, None] * b_NT[:, None, :]
    system_NTT.diagonal(dim1=1, dim2=2).add_(columns_NT + (b_NT == 0))
    system_NTT.baddbmm_(rows_NST.mT, weighted_NST, alpha=-1)
    factor_NTT, _ = torch.linalg.cholesky_ex(system_NTT)
    change_NT1 = torch.cholesky_solve((b_NT - columns_NT)[:, :, None], factor_NTT)
    gain_NS = torch.bmm(rows_NST, change_NT1.exp())[:, :, 0]
    return gain_NS.mul_(sums_NS).log_().neg_(), change_NT1[:, :, 0]


def _step(task: EntropicProblem, f_NS: Tensor, g_NT: Tensor, ratio_NST: Tensor, samples: list[int]) -> None:
    """Move the potentials of these samples in place; the second side's are solved for."""
    if not samples:
        return
    lengths = [task.lengths_N2[n] for n in samples]
    changes = _changes(ratio_NST[samples], task.a_NS[samples], task.b_NT[samples], lengths)
    for potential, change in zip((f_NS, g_NT), changes, strict=True):
        potential[samples] += task.epsilon_N[samples, None] * change


def _changes(ratio_nRC: Tensor, a_nR: Tensor, b_nC: Tensor, lengths: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Changes of both potentials in units of epsilon, 0 in the padding; the second side, of C, is solved for."""
    rows_nRC = ratio_nRC * b_nC[:, None]
    sums_nR = weighted_row_sum(ratio_nRC.mT, b_nC)
    # Conditional plans: the first marginal is exact now. In the padding they are 0.
    inside_nR = sums_nR != 0
    rows_nRC = rows_nRC / torch.where(inside_nR, sums_nR, 1.0)[:, :, None]
    columns_nC = weighted_row_sum(rows_nRC, a_nR)
    lacking_nC = b_nC - columns_nC
    # Potentials are free up to a constant, which b b^T fixes; points without mass drop out.
    system_nCC = b_nC[:, :, None] * b_nC[:, None]
    system_nCC.diagonal(dim1=1, dim2=2).add_(torch.where(b_nC > 0, columns_nC, 1.0))
    weighted_nRC = a_nR[:, :, None] * rows_nRC
    # Sample by sample in its own shape, so that neither padding nor the batch changes how products round.
    for n, (r, c) in enumerate(lengths):
        system_nCC[n, :c, :c] -= aligned(rows_nRC[n, :r, :c].mT) @ aligned(weighted_nRC[n, :r, :c])
    change_nC = torch.zeros_like(b_nC)
    small = [n for n, (_, c) in enumerate(lengths) if c <= ELIMINATED]
    if small:
        change_nC[small, :ELIMINATED] = _eliminate(
            system_nCC[small, :ELIMINATED, :ELIMINATED], lacking_nC[small, :ELIMINATED]
        )
    for n, (_, c) in enumerate(lengths):
        if c > ELIMINATED:
            factor, _ = torch.linalg.cholesky_ex(aligned(system_nCC[n, :c, :c]))
            change_nC[n, :c] = torch.cholesky_solve(lacking_nC[n, :c, None], factor)[:, 0]
    gain_nR = weighted_row_sum(rows_nRC.mT, change_nC.exp())
    return torch.where(inside_nR, -(sums_nR * gain_nR).log(), 0.0), change_nC


def _eliminate(system_nCC: Tensor, right_nC: Tensor) -> Tensor:
    """Solve positive definite systems by Gauss-Jordan, entry by entry, so that padding (an identity) changes no bit."""
    both = torch.cat([system_nCC, right_nC[:, :, None]], 2)
    for k in range(system_nCC.shape[1]):
        pivot_row = both[:, k, k:] / both[:, k, k, None]
        both[:, :, k:] -= both[:, :, k, None] * pivot_row[:, None]
        both[:, k, k:] = pivot_row
    return both[:, :, -1]
