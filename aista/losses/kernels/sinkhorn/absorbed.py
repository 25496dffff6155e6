"""Sinkhorn in the exp domain with absorbed potentials: the answers of the log domain, without its exp and log.

Each iteration is two matrix-vector products with a kernel that is exponentiated once; see README.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn import reference
from aista.losses.kernels.sinkhorn.problem import EntropicProblem, Potentials
from aista.losses.kernels.sinkhorn.ragged import RowSum, ragged_sum
from aista.types import length_mask

__all__ = ["solve"]

ABSORB_AT = 60.0  # |log| of a scaling beyond which it moves into the kernel; fp32 overflows at 88


def solve(problem: EntropicProblem, max_iterations: int, tolerance: float) -> Potentials:
    """As :func:`aista.losses.kernels.sinkhorn.reference.solve`, faster.

    A sample's result is the same, bit for bit, in any batch and with any padding. A sample whose
    scalings leave the range of its dtype is solved by the reference instead.
    """
    f_NS, g_NT = torch.zeros_like(problem.a_NS), torch.zeros_like(problem.b_NT)
    num_iterations_N = torch.zeros_like(problem.epsilon_N, dtype=torch.long)
    state = _State(problem)
    iteration = 0
    while state.samples.numel():
        steps = min(reference.CHECK_EVERY, max_iterations - iteration)
        state.iterate(steps)
        iteration += steps
        error = state.marginal_error()
        broken = ~error.isfinite()
        enough = error <= (reference.SAFETY * tolerance if tolerance > 0 else -1.0)
        done = ~broken if iteration == max_iterations else enough
        finished = state.samples[done]
        f_NS[finished], g_NT[finished] = state.x.potential()[done], state.y.potential()[done]
        num_iterations_N[finished] = iteration
        for n in state.samples[broken].tolist():
            s, t = problem.lengths_N2[n]
            f, g, num_iterations_N[n] = reference.solve(problem.sample(n), max_iterations, tolerance)
            f_NS[n, :s], g_NT[n, :t] = f[0], g[0]
        state.keep(~(done | broken))
        state.absorb_large_scalings()
    return Potentials(f_NS, g_NT, num_iterations_N)


@dataclass
class _Side:
    """One side (R positions) of the n samples that still iterate. ``absorbed`` is the potential inside the kernel."""

    mass_nR: Tensor
    mask_nR: Tensor
    absorbed_nR: Tensor
    scaling_nR: Tensor
    epsilon_n1: Tensor
    damping_n1: Tensor
    rho: float

    def potential(self) -> Tensor:
        """``[n, R]`` with the scalings taken in."""
        return self.absorbed_nR + self.epsilon_n1 * self.scaling_nR.log()

    def optimal(self, sums_nR: Tensor, weight: Tensor | float) -> Tensor:
        """``weight`` times the scaling that makes this side optimal: ``sums^-d exp((d - 1) absorbed / eps)``."""
        if self.rho == torch.inf:
            return weight / sums_nR
        log_sums = sums_nR.log()
        return weight * torch.exp(
            (self.damping_n1 - 1) * self.absorbed_nR / self.epsilon_n1 - self.damping_n1 * log_sums
        )

    def absorb(self, samples_n: Tensor) -> None:
        """Move the scalings of the marked samples into their potentials."""
        self.absorbed_nR = torch.where(samples_n[:, None], self.potential(), self.absorbed_nR)
        self.scaling_nR = self.scaling_nR.masked_fill(samples_n[:, None], 1.0)

    def large(self) -> Tensor:
        """``[n]`` whether a scaling nears the edge of the range."""
        return ((self.scaling_nR.log().abs() > ABSORB_AT) & self.mask_nR).any(1)

    def keep(self, samples_n: Tensor) -> None:
        """Drop all samples but the marked ones."""
        for name, value in vars(self).items():
            if name != "rho":
                setattr(self, name, value[samples_n])


class _State:
    """The n samples that still iterate: ``P = a u K v b`` with ``K = exp((f + g - C) / eps)``."""

    def __init__(self, problem: EntropicProblem) -> None:
        p = self.problem = problem
        lengths = torch.tensor(p.lengths_N2, device=p.cost_NST.device)
        self.samples = torch.arange(lengths.shape[0], device=lengths.device)
        f, g = _hard_transforms(p.cost_NST, p.a_NS > 0, p.b_NT > 0)
        self.x = self._side(p.a_NS, lengths[:, 0], f, p.rho_x)
        self.y = self._side(p.b_NT, lengths[:, 1], g, p.rho_y)
        # Where neither end has mass an entry has no influence, and may overflow.
        held = (p.a_NS > 0)[:, :, None] | (p.b_NT > 0)[:, None, :]
        self.unused_NST = ~(held & self.x.mask_nR[:, :, None] & self.y.mask_nR[:, None, :])
        self.kernel_NST = self._kernel(self.samples, f, g)
        self.kernel_NTS = self.kernel_NST.mT.contiguous()
        self.sum_over_x, self.sum_over_y = RowSum(self.kernel_NST), RowSum(self.kernel_NTS)
        self.y_sums = self.sum_over_y(p.b_NT)

    def iterate(self, steps: int) -> None:
        """Update the scalings of x, then of y, that many times; ``y_sums`` belongs to the latest of y."""
        x, y = self.x, self.y
        for _ in range(steps):
            before = self.y_sums
            x_sums = self.sum_over_x(x.optimal(before, x.mass_nR))
            self.y_sums = self.sum_over_y(y.optimal(x_sums, y.mass_nR))
        x.scaling_nR, y.scaling_nR = x.optimal(before, 1.0), y.optimal(x_sums, 1.0)

    def marginal_error(self) -> Tensor:
        """``[n]`` L1 error of x's marginal (y's is exact); not finite where anything left the range."""
        marginal = self.x.scaling_nR * self.y_sums
        rho = self.problem.rho_x
        target = torch.exp(-self.x.potential() / rho) if rho > 0 else marginal
        return ragged_sum((marginal - target).abs(), self.x.mass_nR)

    def keep(self, mask_n: Tensor) -> None:
        """Go on with the marked samples alone."""
        if bool(mask_n.all()):
            return
        self.samples, self.y_sums = self.samples[mask_n], self.y_sums[mask_n]
        self.x.keep(mask_n)
        self.y.keep(mask_n)
        self.sum_over_x.select(self.samples)
        self.sum_over_y.select(self.samples)

    def absorb_large_scalings(self) -> None:
        """Move scalings near the edge of the range into the kernel, for the samples that have some."""
        large_n = self.x.large() | self.y.large()
        if not bool(large_n.any()):
            return
        self.x.absorb(large_n)
        self.y.absorb(large_n)
        changed = self.samples[large_n]
        kernel = self._kernel(changed, self.x.absorbed_nR[large_n], self.y.absorbed_nR[large_n])
        self.kernel_NST[changed], self.kernel_NTS[changed] = kernel, kernel.mT
        self.y_sums = self.sum_over_y(self.y.mass_nR * self.y.scaling_nR)

    def _side(self, mass: Tensor, lengths: Tensor, potential: Tensor, rho: float) -> _Side:
        p = self.problem
        mask, one = length_mask(lengths, mass.shape[1]), torch.ones_like(mass)
        return _Side(mass, mask, potential, one, p.epsilon_N[:, None], p.damping(rho)[:, None], rho)

    def _kernel(self, samples_n: Tensor, f_nS: Tensor, g_nT: Tensor) -> Tensor:
        p = self.problem
        exponent = (f_nS[:, :, None] + g_nT[:, None, :] - p.cost_NST[samples_n]) / p.epsilon_N[samples_n, None, None]
        return exponent.masked_fill_(self.unused_NST[samples_n], 0.0).exp_()


def _hard_transforms(cost_NST: Tensor, x_held: Tensor, y_held: Tensor) -> tuple[Tensor, Tensor]:
    """Potentials at which each row and column of the kernel has a largest entry of 1."""
    no_x, no_y = ~x_held[:, :, None], ~y_held[:, None, :]
    f = cost_NST.masked_fill(no_y, torch.inf).amin(2)
    g = (cost_NST - f[:, :, None]).masked_fill(no_x, torch.inf).amin(1)
    # Once more for x: rows without mass had no say in g.
    return (cost_NST - g[:, None, :]).masked_fill(no_y, torch.inf).amin(2), g
