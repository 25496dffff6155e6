"""Inexact proximal point transport: entropic steps from plan to plan that end at the unregularised one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aista.losses.costs import Cost
from aista.losses.kernels.sinkhorn.ragged import RowSum, ragged_sum, weighted_row_sum
from aista.losses.masses import AnyMass
from aista.losses.solvers.entropic import EPSILON_SCALES, cost_scale
from aista.losses.solvers.gradient import with_gradient
from aista.losses.solvers.pairwise import no_autocast
from aista.losses.solvers.problem import Problem, from_cost, from_states
from aista.losses.solvers.result import OTResult
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register
from aista.schema import option
from aista.types import length_mask

__all__ = ["Ipot", "IpotConfig", "ipot", "ipot_cost"]

CHECK_EVERY = 10  # iterations between looks at the marginals and the gap


def ipot(
    x: Tensor,
    y: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    *,
    x_mass: AnyMass = None,
    y_mass: AnyMass = None,
    cost: str | Cost = "cosine",
    position_weight: float = 0.0,
    position_power: float = 1.0,
    epsilon: float = 1.0,
    epsilon_scale: str = "mean",
    max_iterations: int = 500,
    tolerance: float = 1e-3,
) -> OTResult:
    """Transport cost ``min_P <P, C>`` without regularisation, by proximal steps.

    ``P_k = argmin_P <P, C> + eps KL(P | P_{k-1})`` under ``P 1 = a``, ``P^T 1 = b``, where each step is one Sinkhorn
    iteration that starts from the scalings of the step before. Whatever epsilon is, the plans tend to an optimal
    one; epsilon only sets the pace. Log domain, fp32 (fp64 if given), autocast off; each sample stops by
    itself and is solved, to the last bit, as if it were alone in the batch.

    Choose it for sharp plans where :func:`aista.losses.solvers.exact.exact` is not at hand: on a GPU, or without POT.
    Its gradient, like that of exact transport, jumps where the plan does; ``sinkhorn`` is smoother and cheaper.

    Args:
        x: ``[..., S, D]`` states; leading dimensions (layers, batch) are folded.
        y: ``[..., T, D]`` states.
        x_lengths: ``[...]`` how many of the S positions are content. Padding is never read.
        y_lengths: ``[...]``. A sample with an empty side has value 0 and zero gradient.
        x_mass: As in ``sinkhorn``.
        y_mass: As in ``sinkhorn``.
        cost: As in ``sinkhorn``.
        position_weight: As in ``sinkhorn``.
        position_power: As in ``sinkhorn``.
        epsilon: Strength that holds a plan to the one before. Too small, the marginals are late; too large, the cost.
        epsilon_scale: As in ``sinkhorn``.
        max_iterations: Most steps.
        tolerance: A sample is done when the L1 error of its marginals, and its gap between ``<P, C>`` and the dual
            value as a share of its mean ``|C|``, are no larger; 0 runs all iterations.

    Returns:
        Value ``<P, C>`` (with its gradient: the plan by the costs, the potentials by the masses) and report per
        sample. The potentials are dual feasible: ``f_i + g_j <= C_ij``. ``converged`` vouches for the gap too.

    Raises:
        ValueError: an argument is out of range or shapes disagree; the message names it.
        ConfigError: no cost has that name.

    Source: Xie et al. 2020 (arXiv 1802.04307).
    """
    options = IpotConfig(
        epsilon=epsilon, epsilon_scale=epsilon_scale, max_iterations=max_iterations, tolerance=tolerance
    )
    problem = from_states(
        x,
        y,
        x_lengths,
        y_lengths,
        cost=cost,
        x_mass=x_mass,
        y_mass=y_mass,
        position_weight=position_weight,
        position_power=position_power,
    )
    return _solve(problem, options)


def ipot_cost(
    cost: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    *,
    x_mass: AnyMass = None,
    y_mass: AnyMass = None,
    epsilon: float = 1.0,
    epsilon_scale: str = "mean",
    max_iterations: int = 500,
    tolerance: float = 1e-3,
) -> OTResult:
    """As :func:`ipot`, from costs ``[..., S, T]`` that are already there."""
    options = IpotConfig(
        epsilon=epsilon, epsilon_scale=epsilon_scale, max_iterations=max_iterations, tolerance=tolerance
    )
    return _solve(from_cost(cost, x_lengths, y_lengths, x_mass=x_mass, y_mass=y_mass), options)


@dataclass(frozen=True, kw_only=True)
class IpotConfig:
    """Options of inexact proximal point transport."""

    epsilon: float = option(1.0, "Strength that holds each plan to the one before.", above=0)
    epsilon_scale: str = option(
        "mean", "What epsilon is relative to: each sample's mean or max cost, or nothing.", choices=EPSILON_SCALES
    )
    max_iterations: int = option(500, "Most steps.", minimum=1)
    tolerance: float = option(
        1e-3, "L1 error of the marginals, and relative gap, at which a sample is done.", minimum=0
    )

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < math.inf:
            raise ValueError(f"epsilon must be finite and greater than 0, got {self.epsilon}")
        if self.epsilon_scale not in EPSILON_SCALES:
            raise ValueError(f"epsilon_scale must be one of {', '.join(EPSILON_SCALES)}, got {self.epsilon_scale!r}")
        if self.max_iterations < 1:
            raise ValueError(f"max_iterations must be at least 1, got {self.max_iterations}")
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(f"tolerance must be finite and at least 0, got {self.tolerance}")


@register("ot_solver", "ipot", config=IpotConfig)
class Ipot:
    """Unregularised transport by proximal steps: sharp plans wherever PyTorch runs."""

    def __init__(self, config: IpotConfig) -> None:
        self.config = config

    def __call__(self, x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor, **geometry: Any) -> OTResult:
        """Solve each sample. ``geometry``: cost, masses and positional term, as in :func:`ipot`."""
        return _solve(from_states(x, y, x_lengths, y_lengths, **geometry), self.config)


class _Solution(NamedTuple):
    """``ratio`` is ``P / (a b^T)``; ``gap`` is the distance of ``<P, C>`` from the dual value, in mean costs."""

    ratio_NST: Tensor
    f_NS: Tensor
    g_NT: Tensor
    transport_cost_N: Tensor
    marginal_error_N: Tensor
    gap_N: Tensor


@uncompiled
def _solve(problem: Problem, options: IpotConfig) -> OTResult:
    with torch.no_grad(), no_autocast(problem.cost.device):
        solution, num_iterations = _iterate(problem, options)
        plan = problem.x_mass[:, :, None] * solution.ratio_NST * problem.y_mass[:, None, :]
        f, g = solution.f_NS, solution.g_NT
        error, gap = solution.marginal_error_N, solution.gap_N
        converged = (error <= options.tolerance) & (gap <= options.tolerance)
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


def _iterate(problem: Problem, options: IpotConfig) -> tuple[_Solution, Tensor]:
    state = _State(problem, options)
    num_iterations = torch.zeros_like(state.samples)
    per_sample = torch.zeros_like(state.epsilon)
    final = _Solution(
        *(torch.zeros_like(z) for z in (state.cost, state.a, state.b)), *[per_sample.clone() for _ in range(3)]
    )
    iteration = 0
    while state.samples.numel():
        steps = min(CHECK_EVERY, options.max_iterations - iteration)
        for _ in range(steps):
            state.step()
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
            state.keep(~done)
    return final, num_iterations


class _State:
    """The n samples that still iterate; the log of ``P / (a b^T)`` and the scalings of the latest step."""

    def __init__(self, problem: Problem, options: IpotConfig) -> None:
        lengths = tuple((s, t) for _, s, t in problem.samples)
        self.samples = torch.arange(len(lengths), device=problem.cost.device)
        self.cost, self.a, self.b = problem.cost.detach(), problem.x_mass.detach(), problem.y_mass.detach()
        self.mean_cost = cost_scale(self.cost, lengths, "mean")
        self.epsilon = options.epsilon * cost_scale(self.cost, lengths, options.epsilon_scale)
        self.log_ratio = torch.zeros_like(self.cost)
        self.log_u, self.log_v = torch.zeros_like(self.a), torch.zeros_like(self.b)
        sizes = torch.tensor(lengths, dtype=torch.long, device=self.cost.device).reshape(-1, 2)
        self.x_mask = length_mask(sizes[:, 0], self.a.shape[1])
        self.y_mask = length_mask(sizes[:, 1], self.b.shape[1])

    def step(self) -> None:
        """One proximal step: the kernel takes the plan in, one Sinkhorn iteration restores the marginals."""
        kernel = self.log_ratio - self.cost / self.epsilon[:, None, None] + self.log_v[:, None, :]
        self.log_u = -_log_sum(kernel.mT, self.b)
        kernel += self.log_u[:, :, None]
        correction = -_log_sum(kernel, self.a)
        self.log_ratio = kernel + correction[:, None, :]
        self.log_v = self.log_v + correction

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

    def keep(self, mask_n: Tensor) -> None:
        """Go on with these samples alone."""
        for name, value in vars(self).items():
            setattr(self, name, value[mask_n])

    def _feasible(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """C-transforms of ``f``: ``f + g <= C`` wherever an end has mass; 0 in the padding."""
        no_x, no_y = (self.a == 0)[:, :, None], (self.b == 0)[:, None, :]
        g = (self.cost - f[:, :, None]).masked_fill(no_x, torch.inf).amin(1)
        f = (self.cost - g[:, None, :]).masked_fill(no_y, torch.inf).amin(2)
        g = (self.cost - f[:, :, None]).masked_fill(no_x, torch.inf).amin(1)  # changes columns without mass only
        return f.masked_fill(~self.x_mask, 0.0), g.masked_fill(~self.y_mask, 0.0)


def _log_sum(logs_nRC: Tensor, mass_nR: Tensor) -> Tensor:
    """``[n, C]``: ``log sum_r mass[r] exp(logs[r, c])``; rows without mass have no say."""
    held = logs_nRC.masked_fill((mass_nR == 0)[:, :, None], -torch.inf)
    peak = held.amax(1)
    return peak + weighted_row_sum((held - peak[:, None, :]).exp_(), mass_nR).log()
