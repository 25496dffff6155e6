"""IPOT, inexact proximal point transport: entropic steps that converge to an unregularised plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn.ragged import RowSum, weighted_row_sum, weighted_sum
from aista.losses.solvers.base import OTResult, Solver
from aista.losses.solvers.iterative import Iterative, mean_cost
from aista.losses.solvers.pairwise import no_autocast
from aista.losses.solvers.problem import Problem, check_problems
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register
from aista.schema import option
from aista.types import length_mask

__all__ = ["Ipot"]

CHECK_EVERY = 10  # iterations between checks of the marginals and the gap


@register("ot_solver", "ipot")
@dataclass(frozen=True, kw_only=True)
class Ipot(Iterative, Solver):
    """Unregularised transport by proximal steps (IPOT): sharp plans on any device.

    ``P_k = argmin_P <P, C> + eps KL(P | P_{k-1})`` under ``P 1 = a``, ``P^T 1 = b``, where each step is one Sinkhorn
    iteration that starts from the scalings of the step before. Whatever epsilon is, the plans tend to an optimal one of
    ``min_P <P, C>``; epsilon only sets the rate: with a small one the marginals converge late, with a large one the
    cost. The gradient is the plan by the costs, the potentials by the masses. The potentials are dual feasible: ``f_i +
    g_j <= C_ij``, and ``converged`` covers the duality gap too. Cost: two log-sum-exps of ``S T`` per step, tens to
    hundreds of steps.

    Choose it for sharp plans where ``exact`` is not available: on a GPU, or without POT. Its gradient, like that of
    exact transport, jumps where the plan does; ``sinkhorn`` is smoother and cheaper.

    Source: Xie et al. 2020 (arXiv 1802.04307).

    Examples:
        >>> x, lengths = torch.randn(1, 4, 8), torch.tensor([4])
        >>> Ipot()(x, x.flip(1), lengths, lengths).plan()[0].argmax(1)
        tensor([3, 2, 1, 0])
    """

    epsilon: float = option(1.0, "Strength of the proximal term that ties each plan to the previous one.", above=0)
    max_iterations: int = option(500, "Maximum number of steps.", minimum=1)
    tolerance: float = option(
        1e-3,
        "A sample stops when neither the L1 error of its marginals nor its duality gap, relative to its mean "
        "|C|, exceeds this; 0 runs all steps.",
        minimum=0,
    )

    @uncompiled
    def solve(self, problem: Problem) -> OTResult:
        """Step until each sample has the right marginals and a small gap."""
        check_problems(problem)
        problem = problem.compact()
        with torch.no_grad(), no_autocast(problem.cost.device):
            solution, num_iterations = _iterate(problem, self)
            plan = problem.x_mass[:, :, None] * solution.ratio_NST * problem.y_mass[:, None, :]
            error, gap = solution.marginal_error_N, solution.gap_N
            converged = (error <= self.tolerance) & (gap <= self.tolerance)
        return OTResult.of_plan(
            problem,
            solution.transport_cost_N,
            plan,
            (solution.f_NS, solution.g_NT),
            marginal_error_N=error,
            converged_N=converged,
            num_iterations_N=num_iterations,
        )


class _Solution(NamedTuple):
    """``ratio`` is ``P / (a b^T)``; ``gap`` is the distance of ``<P, C>`` from the dual value, in mean costs."""

    ratio_NST: Tensor
    f_NS: Tensor
    g_NT: Tensor
    transport_cost_N: Tensor
    marginal_error_N: Tensor
    gap_N: Tensor


class _Samples(NamedTuple):
    """The n samples that still iterate."""

    numbers: Tensor
    cost: Tensor
    a: Tensor
    b: Tensor
    x_mask: Tensor
    y_mask: Tensor
    mean_cost: Tensor
    epsilon: Tensor


class _Iterate(NamedTuple):
    """Their plans, as the log of ``P / (a b^T)``, and the scalings of the latest step."""

    log_ratio: Tensor
    log_u: Tensor
    log_v: Tensor


def _iterate(problem: Problem, options: Ipot) -> tuple[_Solution, Tensor]:
    samples = _samples(problem, options)
    now = _Iterate(*(torch.zeros_like(z) for z in (samples.cost, samples.a, samples.b)))
    num_iterations = torch.zeros_like(samples.numbers)
    per_sample = [torch.zeros_like(samples.epsilon) for _ in range(3)]
    final = _Solution(*(torch.zeros_like(z) for z in now), *per_sample)
    iteration = 0
    while samples.numbers.numel():
        steps = min(CHECK_EVERY, options.max_iterations - iteration)
        for _ in range(steps):
            now = _step(samples, now)
        iteration += steps
        current = _evaluate(samples, now)
        worst = torch.maximum(current.marginal_error_N, current.gap_N)
        done = ~worst.isfinite() | (worst <= (options.tolerance or -1.0))
        done |= torch.tensor(iteration == options.max_iterations, device=done.device)
        if bool(done.any()):
            finished = samples.numbers[done]
            for whole, part in zip(final, current, strict=True):
                whole[finished] = part[done]
            num_iterations[finished] = iteration
            samples, now = _Samples(*(z[~done] for z in samples)), _Iterate(*(z[~done] for z in now))
    return final, num_iterations


def _samples(problem: Problem, options: Ipot) -> _Samples:
    cost, a, b = problem.cost.detach(), problem.x_mass.detach(), problem.y_mass.detach()
    x_lengths, y_lengths = problem.x_lengths, problem.y_lengths
    return _Samples(
        numbers=torch.arange(len(cost), device=cost.device),
        cost=cost,
        a=a,
        b=b,
        x_mask=length_mask(x_lengths, a.shape[1]),
        y_mask=length_mask(y_lengths, b.shape[1]),
        mean_cost=mean_cost(problem),
        epsilon=options.epsilon_per_sample(problem),
    )


def _step(samples: _Samples, now: _Iterate) -> _Iterate:
    """One proximal step: the kernel takes the plan in, one Sinkhorn iteration restores the marginals."""
    kernel = now.log_ratio - samples.cost / samples.epsilon[:, None, None] + now.log_v[:, None, :]
    log_u = -_log_sum(kernel.mT, samples.b)
    kernel += log_u[:, :, None]
    correction = -_log_sum(kernel, samples.a)
    return _Iterate(kernel + correction[:, None, :], log_u, now.log_v + correction)


def _evaluate(samples: _Samples, now: _Iterate) -> _Solution:
    """Plan, dual feasible potentials and how far both are from the optimum."""
    a, b = samples.a, samples.b
    used = (a > 0)[:, :, None] & (b > 0)[:, None, :]
    ratio = now.log_ratio.exp().masked_fill(~used, 0.0)
    x_error = weighted_sum((RowSum(ratio.mT)(b) - 1).abs(), a)
    y_error = weighted_sum((weighted_row_sum(ratio, a) - 1).abs(), b)
    cost = weighted_sum(weighted_row_sum(ratio * samples.cost, a), b)
    f, g = _feasible(samples, samples.epsilon[:, None] * now.log_u)
    gap = (cost - weighted_sum(f, a) - weighted_sum(g, b)).abs() / samples.mean_cost
    return _Solution(ratio, f, g, cost, torch.maximum(x_error, y_error), gap)


def _feasible(samples: _Samples, f: Tensor) -> tuple[Tensor, Tensor]:
    """C-transforms of ``f``: ``f + g <= C`` wherever an end has mass; 0 in the padding."""
    no_x, no_y = (samples.a == 0)[:, :, None], (samples.b == 0)[:, None, :]
    g = (samples.cost - f[:, :, None]).masked_fill(no_x, torch.inf).amin(1)
    f = (samples.cost - g[:, None, :]).masked_fill(no_y, torch.inf).amin(2)
    g = (samples.cost - f[:, :, None]).masked_fill(no_x, torch.inf).amin(1)  # changes columns without mass only
    return f.masked_fill(~samples.x_mask, 0.0), g.masked_fill(~samples.y_mask, 0.0)


def _log_sum(logs_nRC: Tensor, mass_nR: Tensor) -> Tensor:
    """``[n, C]``: ``log sum_r mass[r] exp(logs[r, c])``; rows without mass have no say."""
    logs_nRC = logs_nRC.masked_fill((mass_nR == 0)[:, :, None], -torch.inf)
    peak = logs_nRC.amax(1)
    return peak + weighted_row_sum((logs_nRC - peak[:, None, :]).exp_(), mass_nR).log()
