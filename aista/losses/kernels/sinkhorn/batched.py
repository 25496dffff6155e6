"""Sinkhorn in the exp domain on the padded batch at once, in as few operations of torch as there can be.

The absorbed iterations of ``scaling.py`` (see README.md) with matrix products in place of sums in order. All samples
iterate until the last has converged, and none is over-relaxed. Where a batch is small, nearly all time goes into
starting operations, and this starts a fraction of them; the last bits of a sample then depend on its batch and padding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn import reference
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem, Potentials
from aista.losses.kernels.sinkhorn.scaling import ABSORB_AT, Side, hard_transforms

__all__ = ["solve", "weighted_row_sum", "weighted_sum"]


def solve(problem: EntropicProblem, max_iterations: int, tolerance: float) -> Potentials:
    """As :func:`aista.losses.kernels.sinkhorn.reference.solve`, to rounding.

    Every sample takes as many iterations as the slowest. A sample whose scalings leave the range of its dtype is solved
    by the reference instead.

    Args:
        problem: N samples.
        max_iterations: Maximum number of full iterations.
        tolerance: L1 error of the first marginal below which a sample has converged; 0 runs all iterations.
    """
    state, done = _State(problem), 0
    while done < max_iterations:
        steps = min(reference.CHECK_EVERY, max_iterations - done)
        state.iterate(steps)
        done += steps
        if not state.is_in_range():
            state.absorb()
        if tolerance > 0 and state.is_converged(reference.SAFETY * tolerance):
            break
    f_NS, g_NT = state.x.potential()[:, 0], state.y.potential()[:, 0]
    num_iterations_N = torch.full_like(problem.epsilon_N, done, dtype=torch.long)
    for n in state.lost:
        s, t = problem.lengths_N2[n]
        f, g, num_iterations_N[n] = reference.solve(problem.sample(n), max_iterations, tolerance)
        f_NS[n, :s], g_NT[n, :t] = f[0], g[0]
    return Potentials(f_NS, g_NT, num_iterations_N)


def weighted_row_sum(matrix_NST: Tensor, weights_NS: Tensor) -> Tensor:
    """As ``ragged.weighted_row_sum``, in one product."""
    return torch.bmm(weights_NS[:, None], matrix_NST)[:, 0]


def weighted_sum(values_NS: Tensor, weights_NS: Tensor) -> Tensor:
    """As ``ragged.weighted_sum``, in any order."""
    return (values_NS * weights_NS).sum(1)


class _State:
    """All samples: ``P = a u K v b`` with ``K = exp((f + g - C) / eps)``. The sides' tensors are ``[N, 1, R]``."""

    def __init__(self, problem: EntropicProblem) -> None:
        p = self.problem = problem
        f_NS, g_NT = hard_transforms(p.cost_NST, p.a_NS > 0, p.b_NT > 0)
        self.x = self._side(p.a_NS, p.x_mask, f_NS, p.rho_x)
        self.y = self._side(p.b_NT, p.y_mask, g_NT, p.rho_y)
        self.lost: set[int] = set()
        self._exponentiate()

    def iterate(self, steps: int) -> None:
        """Update the scalings of x, then of y, that many times; ``y_sums`` belongs to the latest of y."""
        x, y = self.x, self.y
        x_sums, y_sums = torch.empty_like(y.mass_nR), self.y_sums
        for step in range(1, steps + 1):
            if step == steps:
                self.x = x._replace(scaling_nR=x.optimal(y_sums))
            torch.bmm(x.weights(y_sums), self.kernel_NST, out=x_sums)
            torch.bmm(y.weights(x_sums), self.kernel_NTS, out=y_sums)
        self.y = y._replace(scaling_nR=y.optimal(x_sums))

    def is_converged(self, tolerance: float) -> bool:
        """Whether x's marginal (y's is exact) has at most this L1 error in every sample that is not lost."""
        marginal = self.x.scaling_nR * self.y_sums
        error_N = ((marginal - self.x.target(marginal)).abs() * self.x.mass_nR).sum((1, 2))
        return all(n in self.lost for n, error in enumerate(error_N.tolist()) if not error <= tolerance)

    def is_in_range(self) -> bool:
        """Whether all scalings, also those of the padding, are far from the edge of the range."""
        bounds = [float(bound) for side in (self.x, self.y) for bound in torch.aminmax(side.scaling_nR)]
        return all(math.exp(-ABSORB_AT) < bound < math.exp(ABSORB_AT) for bound in bounds)  # NaN is not

    def absorb(self) -> None:
        """Move the scalings into the kernel; samples that left the range are lost, and start over to stay finite."""
        potentials = self.x.potential(), self.y.potential()
        sound_N = torch.stack([z.isfinite().all(2)[:, 0] for z in potentials]).all(0)
        self.lost |= {n for n, is_sound in enumerate(sound_N.tolist()) if not is_sound}
        self.x, self.y = (
            side._replace(
                absorbed_nR=torch.where(sound_N[:, None, None], potential, 0.0),
                scaling_nR=torch.ones_like(side.scaling_nR),
            )
            for side, potential in zip((self.x, self.y), potentials, strict=True)
        )
        self._exponentiate()

    def _side(self, mass: Tensor, mask: Tensor, potential: Tensor, rho: float) -> Side:
        epsilon_N11, damping_N11 = (z[:, None, None] for z in (self.problem.epsilon_N, self.problem.damping(rho)))
        mass_N1R, mask_N1R, absorbed_N1R = mass[:, None], mask[:, None], potential[:, None]
        return Side(mass_N1R, mask_N1R, absorbed_N1R, torch.ones_like(mass_N1R), epsilon_N11, damping_N11, rho)

    def _exponentiate(self) -> None:
        p, f_N1S, g_N1T = self.problem, self.x.absorbed_nR, self.y.absorbed_nR
        exponent = (f_N1S.mT + g_N1T - p.cost_NST) / p.epsilon_N[:, None, None]
        self.kernel_NST = exponent.masked_fill_(p.unused, 0.0).exp_()
        self.kernel_NTS = self.kernel_NST.mT.contiguous()
        self.y_sums = torch.bmm(self.y.mass_nR * self.y.scaling_nR, self.kernel_NTS)
