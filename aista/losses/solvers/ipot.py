"""Inexact proximal point transport: entropic steps from plan to plan that end at the unregularised one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn.ragged import RowSum, ragged_sum, weighted_row_sum
from aista.losses.solvers.base import OTResult, Solver
from aista.losses.solvers.gradient import with_gradient
from aista.losses.solvers.iterative import Iterative, mean_cost
from aista.losses.solvers.pairwise import no_autocast
from aista.losses.solvers.problem import Problem
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register
from aista.schema import option
from aista.types import length_mask

__all__ = ["Ipot"]

CHECK_EVERY = 10  # iterations between looks at the marginals and the gap


@register("ot_solver", "ipot")
@dataclass(frozen=True, kw_only=True)
class Ipot(Iterative, Solver):
    """Unregularised transport by proximal steps: sharp plans wherever PyTorch runs.

    ``P_k = argmin_P <P, C> + eps KL(P | P_{k-1})`` under ``P 1 = a``, ``P^T 1 = b``, where each step is one Sinkhorn
    iteration that starts from the scalings of the step before. Whatever epsilon is, the plans tend to an optimal one of
    ``min_P <P, C>``; epsilon only sets the pace: too small, the marginals are late; too large, the cost. The gradient
    is the plan by the costs, the potentials by the masses. The potentials are dual feasible: ``f_i + g_j <= C_ij``, and
    ``converged`` vouches for the gap too. Cost: two log-sum-exps of ``S T`` per step, tens to hundreds.

    Choose it for sharp plans where ``exact`` is not at hand: on a GPU, or without POT. Its gradient, like that of exact
    transport, jumps where the plan does; ``sinkhorn`` is smoother and cheaper.

    Source: Xie et al. 2020 (arXiv 1802.04307).

    Example:
        >>> x, lengths = torch.randn(1, 4, 8), torch.tensor([4])
        >>> Ipot()(x, x.flip(1), lengths, lengths).plan()[0].argmax(1)
        tensor([3, 2, 1, 0])
    """

    epsilon: float = option(1.0, "Strength that holds each plan to the one before.", above=0)
    max_iterations: int = option(500, "Maximum number of steps.", minimum=1)
    tolerance: float = option(
        1e-3,
        "A sample is done when the L1 error of its marginals, and its gap between <P, C> and the dual value as a share "
        "of its mean |C|, are no larger; 0 runs all steps.",
        minimum=0,
    )

    @uncompiled
    def solve(self, problem: Problem) -> OTResult:
        """As :class:`Solver` says."""
        with torch.no_grad(), no_autocast(problem.cost.device):
            solution, num_iterations = _iterate(problem, self)
            plan = problem.x_mass[:, :, None] * solution.ratio_NST * problem.y_mass[:, None, :]
            f, g = solution.f_NS, solution.g_NT
            error, gap = solution.marginal_error_N, solution.gap_N
            converged = (error <= self.tolerance) & (gap <= self.tolerance)
        sources = ((problem.cost, plan), (problem.x_mass, f), (problem.y_mass, g))
        return OTResult(
            value=problem.restore(with_gradient(solution.transport_cost_N, *sources)),
            transport_cost=problem.restore(solution.transport_cost_N),
            potentials=(problem.restore_padded(f, 0), problem.restore_padded(g, 1)),
            num_iterations=problem.restore(num_iterations),
            marginal_error=problem.restore(error),
            converged=problem.restore(converged, fill=True),
            build_plan=lambda: problem.restore_padded(plan, 0, 1),
        )


class _Solution(NamedTuple):
    """``ratio`` is ``P / (a b^T)``; ``gap`` is the distance of ``<P, C>`` from the dual value, in mean costs."""

    ratio_NST: Tensor
    f_NS: Tensor
    g_NT: Tensor
    transport_cost_N: Tensor
    marginal_error_N: Tensor
    gap_N: Tensor


def _iterate(problem: Problem, options: Ipot) -> tuple[_Solution, Tensor]:
    state = _start(problem, options)
    num_iterations = torch.zeros_like(state.samples)
    per_sample = torch.zeros_like(state.epsilon)
    final = _Solution(
        *(torch.zeros_like(z) for z in (state.cost, state.a, state.b)), *[per_sample.clone() for _ in range(3)]
    )
    iteration = 0
    while state.samples.numel():
        steps = min(CHECK_EVERY, options.max_iterations - iteration)
        for _ in range(steps):
            state = state.step()
        iteration += steps
        current = state.evaluate()
        worst = torch.maximum(current.marginal_error_N, current.gap_N)
        done = ~worst.isfinite() | (worst <= (options.tolerance or -1.0))
        done |= torch.tensor(iteration == options.max_iterations, device=done.device)
        if bool(done.any()):
            finished = state.samples[done]
            for whole, part in zip(final, current, strict=True):
                whole[finished] = part[done]
            num_iterations[finished] = iteration
            state = _State(*(field[~done] for field in state))
    return final, num_iterations


class _State(NamedTuple):
    """The n samples that still iterate; the log of ``P / (a b^T)`` and the scalings of the latest step."""

    samples: Tensor
    cost: Tensor
    a: Tensor
    b: Tensor
    x_mask: Tensor
    y_mask: Tensor
    mean_cost: Tensor
    epsilon: Tensor
    log_ratio: Tensor
    log_u: Tensor
    log_v: Tensor

    def step(self) -> _State:
        """One proximal step: the kernel takes the plan in, one Sinkhorn iteration restores the marginals."""
        kernel = self.log_ratio - self.cost / self.epsilon[:, None, None] + self.log_v[:, None, :]
        log_u = -_log_sum(kernel.mT, self.b)
        kernel += log_u[:, :, None]
        correction = -_log_sum(kernel, self.a)
        return self._replace(log_ratio=kernel + correction[:, None, :], log_u=log_u, log_v=self.log_v + correction)

    def evaluate(self) -> _Solution:
        """Plan, dual feasible potentials and how far both are from the optimum."""
        used = (self.a > 0)[:, :, None] & (self.b > 0)[:, None, :]
        ratio = self.log_ratio.exp().masked_fill(~used, 0.0)
        x_error = ragged_sum((RowSum(ratio.mT)(self.b) - 1).abs(), self.a)
        y_error = ragged_sum((weighted_row_sum(ratio, self.a) - 1).abs(), self.b)
        cost = ragged_sum(weighted_row_sum(ratio * self.cost, self.a), self.b)
        f, g = self._feasible(self.epsilon[:, None] * self.log_u)
        gap = (cost - ragged_sum(f, self.a) - ragged_sum(g, self.b)).abs() / self.mean_cost
        return _Solution(ratio, f, g, cost, torch.maximum(x_error, y_error), gap)

    def _feasible(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """C-transforms of ``f``: ``f + g <= C`` wherever an end has mass; 0 in the padding."""
        no_x, no_y = (self.a == 0)[:, :, None], (self.b == 0)[:, None, :]
        g = (self.cost - f[:, :, None]).masked_fill(no_x, torch.inf).amin(1)
        f = (self.cost - g[:, None, :]).masked_fill(no_y, torch.inf).amin(2)
        g = (self.cost - f[:, :, None]).masked_fill(no_x, torch.inf).amin(1)  # changes columns without mass only
        return f.masked_fill(~self.x_mask, 0.0), g.masked_fill(~self.y_mask, 0.0)


def _start(problem: Problem, options: Ipot) -> _State:
    """Before the first step, at the independent coupling."""
    lengths = tuple((s, t) for _, s, t in problem.samples)
    cost, a, b = problem.cost.detach(), problem.x_mass.detach(), problem.y_mass.detach()
    sizes = torch.tensor(lengths, dtype=torch.long, device=cost.device).reshape(-1, 2)
    return _State(
        samples=torch.arange(len(lengths), device=cost.device),
        cost=cost,
        a=a,
        b=b,
        x_mask=length_mask(sizes[:, 0], a.shape[1]),
        y_mask=length_mask(sizes[:, 1], b.shape[1]),
        mean_cost=mean_cost(cost, lengths),
        epsilon=options.epsilon_per_sample(cost, lengths),
        log_ratio=torch.zeros_like(cost),
        log_u=torch.zeros_like(a),
        log_v=torch.zeros_like(b),
    )


def _log_sum(logs_nRC: Tensor, mass_nR: Tensor) -> Tensor:
    """``[n, C]``: ``log sum_r mass[r] exp(logs[r, c])``; rows without mass have no say."""
    held = logs_nRC.masked_fill((mass_nR == 0)[:, :, None], -torch.inf)
    peak = held.amax(1)
    return peak + weighted_row_sum((held - peak[:, None, :]).exp_(), mass_nR).log()
