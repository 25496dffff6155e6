"""POT's network simplex over a batch: one thread per sample (it releases the GIL), in fp64 on the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from aista.losses.solvers.base import OTResult, Solver
from aista.losses.solvers.problem import Problem, check_problems
from aista.schema import option

__all__ = ["SimplexSolver", "Solved", "solve_each", "transport"]

if TYPE_CHECKING:  # neither numpy nor POT is needed to import this file
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SimplexSolver(Solver):
    """Options of the solvers that run a network simplex."""

    max_iterations: int = option(
        1_000_000,
        "Maximum number of pivots of the network simplex; a sample that needs more has not converged.",
        minimum=1,
    )


class Solved(NamedTuple):
    """One sample: the plan ``[S, T]``, the value's derivatives by the masses, and the report."""

    plan: Array
    f: Array
    g: Array
    value: float
    error: float
    converged: bool


def transport(cost: Array, a: Array, b: Array, max_iterations: int) -> Solved:
    """Optimal transport of one sample; masses of any equal sum."""
    import numpy as np
    import ot

    lowest = cost.min()  # a shift changes no plan, and POT finds some problems with negative costs infeasible
    plan, log = ot.lp.emd(a, b, cost - lowest, numItermax=max_iterations, log=True)
    error = max(np.abs(plan.sum(1) - a).sum(), np.abs(plan.sum(0) - b).sum())
    converged = log["warning"] is None and bool(error < 1e-6)
    return Solved(plan, log["u"] + lowest, log["v"], float((plan * cost).sum()), float(error), converged)


def solve_each(problem: Problem, solve_sample: Callable[[Array, Array, Array], Solved]) -> OTResult:
    """Call ``solve_sample(cost, a, b)`` on every sample whose costs are finite, and attach the (sub)gradient."""
    check_problems(problem)
    problem = problem.compact()
    solved = _solve_all(problem, solve_sample)
    plan, f, g = (torch.zeros_like(z) for z in (problem.cost, problem.x_mass, problem.y_mass))
    for n, ((_, s, t), one) in enumerate(zip(problem.samples, solved, strict=True)):
        plan[n, :s, :t], f[n, :s], g[n, :t] = (torch.as_tensor(z) for z in (one.plan, one.f, one.g))
    cost = plan.new_tensor([one.value for one in solved])
    error = plan.new_tensor([one.error for one in solved])
    converged = torch.tensor([one.converged for one in solved], dtype=torch.bool, device=plan.device)
    return OTResult.of_plan(problem, cost, plan, (f, g), marginal_error_N=error, converged_N=converged)


def _solve_all(problem: Problem, solve_sample: Callable[[Array, Array, Array], Solved]) -> list[Solved]:
    costs, a, b = (z.detach().to("cpu", torch.float64).numpy() for z in (problem.cost, problem.x_mass, problem.y_mass))

    def solve(n: int) -> Solved:
        import numpy as np

        _, s, t = problem.samples[n]
        cost = costs[n, :s, :t].copy()
        if not np.isfinite(cost).all():
            undefined = np.full_like(cost, np.nan)
            return Solved(undefined, undefined[:, 0], undefined[0], float("nan"), float("nan"), False)
        # fp32 masses sum to 1 only nearly; the simplex needs equality.
        return solve_sample(cost, a[n, :s] / a[n, :s].sum(), b[n, :t] / b[n, :t].sum())

    with warnings.catch_warnings(), ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
        # A simplex that stops early warns; here `converged` says so, sample by sample.
        warnings.filterwarnings("ignore", category=UserWarning, message="numItermax reached")
        return list(pool.map(solve, range(len(problem.samples))))
