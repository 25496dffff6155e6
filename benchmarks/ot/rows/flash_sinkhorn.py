"""FlashSinkhorn: kernels that recompute costs in every iteration, for squared Euclidean costs, one sample at a time.

Half of the squared distance between states of unit length is their cosine distance, so that it solves the same problem.
Liger-Kernel, the other collection of such kernels, has none for transport between point clouds: its only Sinkhorn
iterations make small square matrices of network weights doubly stochastic (mHC).
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.ot.rows.base import Outcome, Step, differentiate
from benchmarks.ot.workload import EPSILON, ITERATIONS, Case

__all__ = ["prepare"]


def prepare(case: Case) -> Step:
    """Its batches share a length, so samples go in one by one, at their own; products in full fp32, as all rows'."""
    from flash_sinkhorn import SamplesLoss

    schedule = {"backend": "alternating", "use_epsilon_scaling": False, "eps": 1.0, "n_iters": ITERATIONS}
    loss = SamplesLoss(half_cost=True, allow_tf32=False, **schedule)
    lengths = list(zip(case.x_lengths_B.tolist(), case.y_lengths_B.tolist(), strict=True))

    def value(x_SD: Tensor, y_TD: Tensor) -> Tensor:
        epsilon = EPSILON * (1 - x_SD.detach().mean(0) @ y_TD.detach().mean(0))
        # Epsilon divides the costs, since it is a number of the host there, which reading would make wait.
        scale = epsilon.rsqrt()
        sample: Tensor = loss(x_SD * scale, y_TD * scale)
        return sample * epsilon

    def values(x: Tensor, y: Tensor) -> Tensor:
        x, y = (z / torch.linalg.vector_norm(z, dim=-1, keepdim=True) for z in (x, y))
        return torch.stack([value(x[n, :s], y[n, :t]) for n, (s, t) in enumerate(lengths)])

    def step() -> Outcome:
        return differentiate(case, values)

    return step
