"""GeomLoss, backend ``tensorized``: symmetric averaged updates in the log domain, no report of convergence."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.ot.rows.base import Outcome, Step, differentiate, sample_epsilon
from benchmarks.ot.workload import ITERATIONS, Case

__all__ = ["prepare"]

START = 1.1  # its schedule must descend, here from barely above the final epsilon


def prepare(case: Case) -> Step:
    """Epsilon divides the costs, since GeomLoss takes one for all samples."""
    from geomloss import SamplesLoss

    a, b = case.masses()

    def step() -> Outcome:
        epsilons: list[Tensor] = []

        def cost(rows: Tensor, columns: Tensor) -> Tensor:  # called with (x, y), then with (y, x)
            distance = 1 - torch.bmm(rows, columns.mT)
            epsilons.append(sample_epsilon(distance, *((b, a) if epsilons else (a, b))))
            return distance / epsilons[0][:, None, None]

        # The schedule starts with START, descends in ITERATIONS - 2 factors and ends with the final epsilon, 1.
        scaling = START ** (-1 / (ITERATIONS - 2.5))
        schedule = {"blur": 1.0, "diameter": START, "scaling": scaling}
        loss = SamplesLoss("sinkhorn", p=1, cost=cost, debias=False, backend="tensorized", **schedule)

        def values(x: Tensor, y: Tensor) -> Tensor:
            x, y = (z / torch.linalg.vector_norm(z, dim=-1, keepdim=True) for z in (x, y))
            value_B: Tensor = loss(a, x, b, y)
            return value_B * epsilons[0]

        return differentiate(case, values)

    return step
