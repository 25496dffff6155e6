"""Entropic transport by the GPU kernels, from costs to a value with its gradient, in a few launches.

No loop over samples, nothing read back: lengths, counts, errors and convergence stay on the device, a training step
never waits, and the whole may be captured in a CUDA graph or traced by ``torch.compile``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn.backend import kernel
from aista.losses.kernels.sinkhorn.entropic_problem import Potentials
from aista.losses.solvers.base import OTResult
from aista.losses.solvers.gradient import with_gradient
from aista.losses.solvers.pairwise import no_autocast
from aista.losses.solvers.problem import Problem

if TYPE_CHECKING:
    from aista.losses.kernels.sinkhorn.launch import Loaded

__all__ = ["MAX_SYSTEM", "solve"]

MAX_SYSTEM = 1024  # positions on the second side up to which a Newton step pays: its systems are N x T x T


def solve(
    problem: Problem,
    *,
    epsilon: float | Tensor,
    epsilon_scale: str,
    rho: tuple[float, float],
    max_iterations: int,
    tolerance: float,
    polish: bool,
) -> OTResult:
    """Solve all samples at the regularised value, and attach its gradient.

    Args:
        problem: Costs and masses in fp32, on a device that the kernels take.
        epsilon: Regularisation relative to ``epsilon_scale``, or ``[N]`` as it is.
        epsilon_scale: ``mean``, ``max`` or ``absolute``.
        rho: Strengths of the penalties on the two marginals.
        max_iterations: Maximum number of iterations.
        tolerance: L1 error of the marginals at which a sample stops.
        polish: Whether a Newton step follows; balanced problems only.
    """
    launch = kernel("triton")
    with torch.no_grad(), no_autocast(problem.cost.device):
        sides = problem.x_mass, problem.y_mass, problem.x_lengths, problem.y_lengths
        loaded = launch.load(problem.cost, *sides, epsilon, epsilon_scale, rho)
        potentials = launch.iterate(loaded, max_iterations, tolerance)
        if polish and problem.cost.shape[2] <= MAX_SYSTEM:
            before = launch.evaluate(loaded, potentials, tolerance, entry="rows")
            step = _newton_step(loaded, potentials, before.entry_NST, before.a_derivative_NS)
            potentials = launch.better(loaded, potentials, before.marginal_error_N, *step)
        found = launch.evaluate(loaded, potentials, tolerance)
    return OTResult.of(
        problem,
        value_N=with_gradient(
            found.value_N,
            (problem.cost, found.entry_NST),
            (problem.x_mass, found.a_derivative_NS),
            (problem.y_mass, found.b_derivative_NT),
        ),
        transport_cost_N=found.transport_cost_N,
        potentials=potentials[:2],
        num_iterations_N=potentials.num_iterations_N,
        marginal_error_N=found.marginal_error_N,
        converged_N=found.converged_N,
        plan_NST=found.entry_NST,
    )


def _newton_step(loaded: Loaded, potentials: Potentials, rows_NST: Tensor, sums_NS: Tensor) -> tuple[Tensor, Tensor]:
    """Potentials one step on, as ``polish.newton_step``, always on the second side; perhaps not finite.

    Args:
        loaded: Balanced problems.
        potentials: Where they are.
        rows_NST: The plan's rows scaled to sum 1, 0 in the padding.
        sums_NS: What the rows' sums were, over ``a``.
    """
    a, b, epsilon_N1 = loaded.a_NS, loaded.b_NT, loaded.epsilon_N[:, None]
    weighted_NST = rows_NST * a[:, :, None]
    columns_NT = weighted_NST.sum(1)
    # Potentials are free up to a constant, which b b^T fixes; points without mass drop out.
    system_NTT = b[:, :, None] * b[:, None, :]
    system_NTT.diagonal(dim1=1, dim2=2).add_(columns_NT + (b == 0))
    system_NTT.baddbmm_(rows_NST.mT, weighted_NST, alpha=-1)
    factor_NTT, _ = torch.linalg.cholesky_ex(system_NTT)
    change_NT1 = torch.cholesky_solve((b - columns_NT)[:, :, None], factor_NTT)
    gain_NS = torch.bmm(rows_NST, change_NT1.exp())[:, :, 0]
    f_NS = torch.addcmul(potentials.f_NS, epsilon_N1, gain_NS.mul_(sums_NS).log_(), value=-1)
    return f_NS, torch.addcmul(potentials.g_NT, epsilon_N1, change_NT1[:, :, 0])
