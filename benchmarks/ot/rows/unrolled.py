"""Plain torch: log domain on the padded batch, autograd through all iterations."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.ot.rows.base import Outcome, Step, cosine_cost, differentiate, sample_epsilon
from benchmarks.ot.workload import ITERATIONS, Case

__all__ = ["prepare"]


def prepare(case: Case) -> Step:
    """The implementation without a library."""
    a, b = case.masses()
    log_a, log_b = (torch.where(z > 0, z, 1.0).log().where(z > 0, -1e30) for z in (a, b))

    def values(x: Tensor, y: Tensor) -> Tensor:
        cost = cosine_cost(x, y)
        epsilon = sample_epsilon(cost, a, b)
        scaled, g = cost / epsilon[:, None, None], torch.zeros_like(b)
        for _ in range(ITERATIONS):
            f = -torch.logsumexp((log_b + g)[:, None] - scaled, 2)
            g = -torch.logsumexp((log_a + f)[:, :, None] - scaled, 1)
        return epsilon * ((a * f).sum(1) + (b * g).sum(1))

    def step() -> Outcome:
        return differentiate(case, values)

    return step
