"""Entropic transport by the GPU kernels: from costs to a value with gradient, in a few launches.

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
from aista.losses.solvers.polish import second_side_step
from aista.losses.solvers.problem import Problem

if TYPE_CHECKING:
    from aista.losses.kernels.sinkhorn.launch import Loaded

__all__ = ["MAX_SYSTEM", "solve"]

MAX_SYSTEM = 1024  # positions on the shorter side up to which a Newton step pays: its systems are N x T x T


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
    launch, cost = kernel("triton"), problem.cost
    sides = (problem.x_mass, problem.x_lengths, rho[0]), (problem.y_mass, problem.y_lengths, rho[1])
    turned = cost.shape[1] < cost.shape[2]  # the kernels hold whole rows, and a Newton step solves for the second side
    if turned:
        cost, sides = cost.mT, (sides[1], sides[0])
    with torch.no_grad(), no_autocast(cost.device):
        (a, x_lengths, rho_x), (b, y_lengths, rho_y) = sides
        loaded = launch.load(cost, a, b, x_lengths, y_lengths, epsilon, epsilon_scale, (rho_x, rho_y))
        potentials = launch.iterate(loaded, max_iterations, tolerance)
        if polish and cost.shape[2] <= MAX_SYSTEM:
            before = launch.evaluate(loaded, potentials, tolerance, entry="rows")
            step = _newton_step(loaded, potentials, before.entry_NST, before.a_derivative_NS)
            potentials = launch.better(loaded, potentials, before.marginal_error_N, *step)
        found = launch.evaluate(loaded, potentials, tolerance)
    if turned:
        potentials = potentials._replace(f_NS=potentials.g_NT, g_NT=potentials.f_NS)
        found = found._replace(
            a_derivative_NS=found.b_derivative_NT,
            b_derivative_NT=found.a_derivative_NS,
            entry_NST=found.entry_NST.mT,
        )
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
    """Potentials one step on; see ``second_side_step``."""
    f_change_NS, g_change_NT = second_side_step(loaded.a_NS, loaded.b_NT, rows_NST, sums_NS)
    epsilon_N1 = loaded.epsilon_N[:, None]
    return (
        torch.addcmul(potentials.f_NS, epsilon_N1, f_change_NS),
        torch.addcmul(potentials.g_NT, epsilon_N1, g_change_NT),
    )
