"""Sinkhorn in the log domain: the plain, overflow-free definition that faster kernels must agree with.

Differentiable: with gradients enabled, autograd tapes every iteration (for tests and comparisons).
"""

from __future__ import annotations

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem, Potentials

__all__ = ["CHECK_EVERY", "SAFETY", "solve"]

CHECK_EVERY = 10  # iterations between checks of the marginals
SAFETY = 0.9  # stop a little below the tolerance, so that rounding in the plan cannot lift it above


def solve(problem: EntropicProblem, max_iterations: int, tolerance: float) -> Potentials:
    """Alternate the two soft c-transforms until each sample's first marginal is right.

    Args:
        problem: N samples.
        max_iterations: Maximum number of full iterations.
        tolerance: L1 error of the first marginal below which a sample stops; 0 runs all iterations.
    """
    p = problem
    log_a, log_b = _log(p.a_NS), _log(p.b_NT)
    eps = p.epsilon_N[:, None]
    damp_x, damp_y = p.damping(p.rho_x)[:, None], p.damping(p.rho_y)[:, None]
    scaled_cost = p.cost_NST / eps[:, :, None]
    f, g = torch.zeros_like(p.a_NS), torch.zeros_like(p.b_NT)  # in units of epsilon
    active = torch.ones_like(p.epsilon_N, dtype=torch.bool)
    num_iterations = torch.zeros_like(p.epsilon_N, dtype=torch.long)

    def f_transform(g: Tensor) -> Tensor:
        return -torch.logsumexp((log_b + g)[:, None, :] - scaled_cost, dim=2)

    def g_transform(f: Tensor) -> Tensor:
        return -torch.logsumexp((log_a + f)[:, :, None] - scaled_cost, dim=1)

    for iteration in range(1, max_iterations + 1):
        f = torch.where(active[:, None], damp_x * f_transform(g), f)
        g = torch.where(active[:, None], damp_y * g_transform(f), g)
        num_iterations += active
        if tolerance > 0 and (iteration % CHECK_EVERY == 0 or iteration == max_iterations):
            with torch.no_grad():
                marginal = p.a_NS * torch.exp(f - f_transform(g))
                target = p.a_NS * torch.exp(-f * eps / p.rho_x) if p.rho_x > 0 else marginal
                active = active & ~(
                    (marginal - target).abs().sum(1) <= SAFETY * tolerance
                )  # autograd keeps the old one
            if not active.any():
                break
    return Potentials(f * eps, g * eps, num_iterations)


def _log(mass: Tensor) -> Tensor:
    # Not -inf: a row of -inf has NaN gradients.
    return torch.where(mass > 0, torch.where(mass > 0, mass, 1.0).log(), -1e30)
