"""Sinkhorn in the exp domain with absorbed potentials: the answers of the log domain, without its exp and log.

Each iteration is two matrix-vector products with a kernel that is exponentiated once; see README.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn import reference
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem, Potentials
from aista.losses.kernels.sinkhorn.overrelaxation import OverRelaxation
from aista.losses.kernels.sinkhorn.ragged import RowSum, weighted_sum

__all__ = ["ABSORB_AT", "Side", "hard_transforms", "solve"]

ABSORB_AT = 60.0  # |log| of a scaling beyond which it moves into the kernel; fp32 overflows at 88


def solve(problem: EntropicProblem, max_iterations: int, tolerance: float, *, overrelaxed: bool = False) -> Potentials:
    """As :func:`aista.losses.kernels.sinkhorn.reference.solve`, faster.

    A sample's result is the same, bit for bit, in any batch and with any padding. A sample whose
    scalings leave the range of its dtype is solved by the reference instead.

    Args:
        problem: N samples.
        max_iterations: Maximum number of full iterations.
        tolerance: L1 error of the first marginal below which a sample stops; 0 runs all iterations.
        overrelaxed: Whether updates overshoot where that pays; of balanced problems only.
    """
    f_NS, g_NT = torch.zeros_like(problem.a_NS), torch.zeros_like(problem.b_NT)
    num_iterations_N = torch.zeros_like(problem.epsilon_N, dtype=torch.long)
    state = _State(problem)
    relaxation = OverRelaxation(len(state.samples), tolerance, reference.CHECK_EVERY) if overrelaxed else None
    iteration = 0
    while state.samples.numel():
        steps = min(reference.CHECK_EVERY, max_iterations - iteration)
        state.iterate(steps, relaxation)
        iteration += steps
        error = state.marginal_error()
        failed = torch.zeros_like(error, dtype=torch.bool)
        if relaxation and any(failures := relaxation.adapt(error.tolist())):
            failed = torch.tensor(failures, device=error.device)
            state.go_back(failed)
        broken = ~(error.isfinite() | failed)
        enough = error <= (reference.SAFETY * tolerance if tolerance > 0 else -1.0)
        stopped = torch.ones_like(broken) if iteration == max_iterations else broken | enough
        if bool(stopped.any()):
            at = stopped.nonzero()[:, 0]
            finished = state.samples[at]
            f_NS.index_copy_(0, finished, state.x.potential()[at])
            g_NT.index_copy_(0, finished, state.y.potential()[at])
            num_iterations_N.index_fill_(0, finished, iteration)
            for n in state.samples[broken].tolist():
                s, t = problem.lengths_N2[n]
                f, g, num_iterations_N[n] = reference.solve(problem.sample(n), max_iterations, tolerance)
                f_NS[n, :s], g_NT[n, :t] = f[0], g[0]
            going = (~stopped).nonzero()[:, 0]
            state.keep(going)
            if relaxation:
                relaxation.keep(going.tolist())
        state.absorb_large_scalings()
    return Potentials(f_NS, g_NT, num_iterations_N)


class Side(NamedTuple):
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

    def weights(self, sums_nR: Tensor) -> Tensor:
        """Masses times the optimal scaling."""
        return self.mass_nR / sums_nR if self.rho == torch.inf else self.mass_nR * self.optimal(sums_nR)

    def optimal(self, sums_nR: Tensor) -> Tensor:
        """The scaling that makes this side optimal: ``sums^-d exp((d - 1) absorbed / eps)``."""
        if self.rho == torch.inf:
            return sums_nR.reciprocal()
        exponent = (self.damping_n1 - 1) * self.absorbed_nR / self.epsilon_n1
        return torch.exp(exponent - self.damping_n1 * sums_nR.log())

    def target(self, marginal_nR: Tensor) -> Tensor | float:
        """Target of this side's marginal relative to its mass; its present value where there is no penalty."""
        if self.rho == torch.inf:
            return 1.0
        return torch.exp(-self.potential() / self.rho) if self.rho > 0 else marginal_nR

    def overshoot(self, sums_nR: Tensor, omega_n1: Tensor) -> tuple[Side, Tensor]:
        """The side after a step ``omega`` times as far, and its ``weights`` then; balanced."""
        logs_nR = self.scaling_nR.log()
        further_nR = torch.exp(logs_nR - omega_n1 * (logs_nR + sums_nR.log()))
        # A sample whose omega is 1 gets the same bits as in a batch of such samples.
        relaxed_n1 = omega_n1 > 1
        moved = self._replace(scaling_nR=torch.where(relaxed_n1, further_nR, sums_nR.reciprocal()))
        return moved, torch.where(relaxed_n1, self.mass_nR * further_nR, self.mass_nR / sums_nR)

    def absorb(self, samples_n: Tensor) -> Side:
        """The side with the scalings of the marked samples moved into their potentials."""
        return self._replace(
            absorbed_nR=torch.where(samples_n[:, None], self.potential(), self.absorbed_nR),
            scaling_nR=self.scaling_nR.masked_fill(samples_n[:, None], 1.0),
        )

    def large(self) -> Tensor:
        """``[n]`` whether a scaling nears the edge of the range."""
        return ((self.scaling_nR.log().abs() > ABSORB_AT) & self.mask_nR).any(1)

    def any_large(self) -> bool:
        """Whether some scaling, be it in the padding, nears the edge of the range: a cheap first check."""
        smallest, largest = torch.aminmax(self.scaling_nR)
        return not (math.exp(-ABSORB_AT) < float(smallest) and float(largest) < math.exp(ABSORB_AT))

    def keep(self, index: Tensor) -> Side:
        """These samples alone."""
        return Side._make([*(field.index_select(0, index) for field in self[:-1]), self.rho])


class _State:
    """The n samples that still iterate: ``P = a u K v b`` with ``K = exp((f + g - C) / eps)``."""

    def __init__(self, problem: EntropicProblem) -> None:
        p = self.problem = problem
        self.samples = torch.arange(len(p.lengths_N2), device=p.cost_NST.device)
        f, g = hard_transforms(p.cost_NST, p.a_NS > 0, p.b_NT > 0)
        self.x = self._side(p.a_NS, p.x_mask, f, p.rho_x)
        self.y = self._side(p.b_NT, p.y_mask, g, p.rho_y)
        self.kernel_NST = self._kernel(self.samples, f, g)
        self.kernel_NTS = self.kernel_NST.mT.contiguous()
        self.sum_over_x, self.sum_over_y = RowSum(self.kernel_NST), RowSum(self.kernel_NTS)
        self.y_sums = self.sum_over_y(p.b_NT)

    def iterate(self, steps: int, relaxation: OverRelaxation | None) -> None:
        """Update the scalings of x, then of y, that many times; ``y_sums`` belongs to the latest of y."""
        x, y = self.x, self.y
        if relaxation and relaxation.active:
            self.before = x.scaling_nR, y.scaling_nR
            omega_n1 = relaxation.column(like=x.scaling_nR)
            for _ in range(steps - 1):
                x, x_weights = x.overshoot(self.y_sums, omega_n1)
                y, y_weights = y.overshoot(self.sum_over_x(x_weights), omega_n1)
                self.y_sums = self.sum_over_y(y_weights)
            steps = 1  # and a plain one, after which the second marginal is right
        for _ in range(steps):
            before = self.y_sums
            x_sums = self.sum_over_x(x.weights(before))
            self.y_sums = self.sum_over_y(y.weights(x_sums))
        self.x, self.y = x._replace(scaling_nR=x.optimal(before)), y._replace(scaling_nR=y.optimal(x_sums))

    def go_back(self, samples_n: Tensor) -> None:
        """Undo the latest over-relaxed iterations of the marked samples, and give them their full range again."""
        self.x, self.y = (
            side._replace(scaling_nR=torch.where(samples_n[:, None], scaling_nR, side.scaling_nR))
            for side, scaling_nR in zip((self.x, self.y), self.before, strict=True)
        )
        self._absorb(samples_n)

    def marginal_error(self) -> Tensor:
        """``[n]`` L1 error of x's marginal (y's is exact); not finite where anything left the range."""
        marginal = self.x.scaling_nR * self.y_sums
        # A scaling can overflow where its product with the mass does not.
        lost_n = (self.x.scaling_nR.amax(1) == torch.inf) | (self.y.scaling_nR.amax(1) == torch.inf)
        return weighted_sum((marginal - self.x.target(marginal)).abs(), self.x.mass_nR).masked_fill(lost_n, torch.inf)

    def keep(self, index: Tensor) -> None:
        """Restrict the state to these samples."""
        self.samples, self.y_sums = self.samples[index], self.y_sums[index]
        self.x, self.y = self.x.keep(index), self.y.keep(index)
        self.sum_over_x.select(self.samples)
        self.sum_over_y.select(self.samples)

    def absorb_large_scalings(self) -> None:
        """Move scalings near the edge of the range into the kernel, for the samples that have some."""
        if not self.samples.numel() or not (self.x.any_large() or self.y.any_large()):
            return
        self._absorb(self.x.large() | self.y.large())

    def _absorb(self, samples_n: Tensor) -> None:
        """Move the scalings of the marked samples into the kernel; of the others not a bit changes."""
        self.x, self.y = self.x.absorb(samples_n), self.y.absorb(samples_n)
        changed = self.samples[samples_n]
        kernel = self._kernel(changed, self.x.absorbed_nR[samples_n], self.y.absorbed_nR[samples_n])
        self.kernel_NST[changed], self.kernel_NTS[changed] = kernel, kernel.mT
        sums_nS = self.sum_over_y(self.y.mass_nR * self.y.scaling_nR)
        self.y_sums = torch.where(samples_n[:, None], sums_nS, self.y_sums)

    def _side(self, mass: Tensor, mask: Tensor, potential: Tensor, rho: float) -> Side:
        p = self.problem
        return Side(mass, mask, potential, torch.ones_like(mass), p.epsilon_N[:, None], p.damping(rho)[:, None], rho)

    def _kernel(self, samples_n: Tensor, f_nS: Tensor, g_nT: Tensor) -> Tensor:
        p = self.problem
        exponent = (f_nS[:, :, None] + g_nT[:, None, :] - p.cost_NST[samples_n]) / p.epsilon_N[samples_n, None, None]
        return exponent.masked_fill_(self.problem.unused[samples_n], 0.0).exp_()


def hard_transforms(cost_NST: Tensor, x_held: Tensor, y_held: Tensor) -> tuple[Tensor, Tensor]:
    """Potentials at which each row and column of the kernel has a largest entry of 1."""
    no_x, no_y = ~x_held[:, :, None], ~y_held[:, None, :]
    f = cost_NST.masked_fill(no_y, torch.inf).amin(2)
    g = (cost_NST - f[:, :, None]).masked_fill(no_x, torch.inf).amin(1)
    # Once more for x: rows without mass had no say in g.
    return (cost_NST - g[:, None, :]).masked_fill(no_y, torch.inf).amin(2), g
