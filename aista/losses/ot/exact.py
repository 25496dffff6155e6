"""Exact optimal transport between padded batches of states: POT's network simplex, one thread per sample."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from aista.losses.costs import Cost
from aista.losses.ot.gradient import with_gradient
from aista.losses.ot.problem import Problem, from_cost, from_states
from aista.losses.ot.result import OTResult
from aista.registry import register
from aista.schema import option

__all__ = ["Exact", "ExactConfig", "exact", "exact_cost"]

if TYPE_CHECKING:  # neither numpy nor POT is needed to import this file
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


def exact(
    x: Tensor,
    y: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    *,
    x_mass: Tensor | str | None = None,
    y_mass: Tensor | str | None = None,
    cost: str | Cost = "cosine",
    position_weight: float = 0.0,
    position_power: float = 1.0,
    max_iterations: int = 1_000_000,
) -> OTResult:
    """Optimal transport cost ``min_P <P, C>`` under ``P 1 = a``, ``P^T 1 = b``, for each sample.

    The plan has at most ``S + T - 1`` entries. The gradient is a subgradient (the value is piecewise
    linear in the costs): the plan by the costs, the dual potentials by the masses. Solved in fp64 on
    the CPU, samples in parallel threads.

    Choose it to look at plans, or to check an entropic loss against; for training,
    :func:`aista.losses.ot.sinkhorn.sinkhorn` has a smooth gradient and runs where the states are.

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
        max_iterations: Most pivots of the simplex; ``converged`` is False for a sample that needs more.

    Returns:
        Value (with its gradient) and report per sample; ``num_iterations`` is 0.

    Raises:
        ValueError: an argument is out of range or shapes disagree; the message names it.
        ConfigError: no cost has that name.

    Source: Bonneel et al. 2011 (10.1145/2070781.2024192), as implemented in POT.
    """
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
    return _solve(problem, max_iterations)


def exact_cost(
    cost: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    *,
    x_mass: Tensor | str | None = None,
    y_mass: Tensor | str | None = None,
    max_iterations: int = 1_000_000,
) -> OTResult:
    """As :func:`exact`, from costs ``[..., S, T]`` that are already there."""
    return _solve(from_cost(cost, x_lengths, y_lengths, x_mass=x_mass, y_mass=y_mass), max_iterations)


@dataclass(frozen=True, kw_only=True)
class ExactConfig:
    """Options of exact transport."""

    max_iterations: int = option(1_000_000, "Most pivots of the network simplex.", minimum=1)


@register("ot_solver", "exact", config=ExactConfig)
class Exact:
    """Exact transport: sharp plans and a subgradient, on the CPU. For pictures and comparisons."""

    def __init__(self, config: ExactConfig) -> None:
        self.max_iterations = config.max_iterations

    def __call__(self, x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor, **geometry: Any) -> OTResult:
        """Solve each sample. ``geometry``: cost, masses and positional term, as in :func:`exact`."""
        return _solve(from_states(x, y, x_lengths, y_lengths, **geometry), self.max_iterations)


class _Solved(NamedTuple):
    plan: Array
    f: Array
    g: Array
    value: float
    error: float
    converged: bool


def _solve(problem: Problem, max_iterations: int) -> OTResult:
    if max_iterations < 1:
        raise ValueError(f"max_iterations must be at least 1, got {max_iterations}")
    solved = _solve_all(problem, max_iterations)
    plan, f, g = (torch.zeros_like(z) for z in (problem.cost, problem.x_mass, problem.y_mass))
    for n, ((_, s, t), one) in enumerate(zip(problem.samples, solved, strict=True)):
        plan[n, :s, :t], f[n, :s], g[n, :t] = (torch.as_tensor(z) for z in (one.plan, one.f, one.g))
    cost = plan.new_tensor([one.value for one in solved])
    value = with_gradient(cost, (problem.cost, plan), (problem.x_mass, f), (problem.y_mass, g))
    converged = torch.tensor([one.converged for one in solved], dtype=torch.bool, device=plan.device)
    return OTResult(
        value=problem.restore(value),
        transport_cost=problem.restore(cost),
        potentials=(problem.restore_padded(f, 0), problem.restore_padded(g, 1)),
        num_iterations=problem.restore(torch.zeros_like(converged, dtype=torch.long)),
        marginal_error=problem.restore(plan.new_tensor([one.error for one in solved])),
        converged=problem.restore(converged, fill=True),
        build_plan=lambda: problem.restore_padded(plan, 0, 1),
    )


def _solve_all(problem: Problem, max_iterations: int) -> list[_Solved]:
    costs, a, b = (z.detach().to("cpu", torch.float64).numpy() for z in (problem.cost, problem.x_mass, problem.y_mass))

    def solve_sample(n: int) -> _Solved:
        _, s, t = problem.samples[n]
        return _solve_sample(costs[n, :s, :t].copy(), a[n, :s], b[n, :t], max_iterations)

    with warnings.catch_warnings(), ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
        # A simplex that stops early warns; here `converged` says so, sample by sample.
        warnings.filterwarnings("ignore", category=UserWarning, message="numItermax reached")
        return list(pool.map(solve_sample, range(len(problem.samples))))


def _solve_sample(cost: Array, a: Array, b: Array, max_iterations: int) -> _Solved:
    import numpy as np
    import ot

    if not np.isfinite(cost).all():
        undefined = np.full_like(cost, np.nan)
        return _Solved(undefined, undefined[:, 0], undefined[0], float("nan"), float("nan"), False)
    a, b = a / a.sum(), b / b.sum()  # fp32 masses sum to 1 only nearly; the simplex needs equality
    plan, log = ot.lp.emd(a, b, cost, numItermax=max_iterations, log=True)
    error = max(np.abs(plan.sum(1) - a).sum(), np.abs(plan.sum(0) - b).sum())
    converged = log["warning"] is None and bool(error < 1e-6)
    return _Solved(plan, log["u"], log["v"], float((plan * cost).sum()), float(error), converged)
