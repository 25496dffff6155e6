"""The lower bound: the norms and matrix products that every solver needs; without value and gradient."""

from __future__ import annotations

import torch

from benchmarks.ot.rows.base import Step
from benchmarks.ot.workload import Case

__all__ = ["prepare"]


def prepare(case: Case) -> Step:
    """Costs, and one product for each side's gradient, on the padded batch."""

    def step() -> None:
        x, y = (z / torch.linalg.vector_norm(z, dim=-1, keepdim=True) for z in (case.x_BSD, case.y_BTD))
        cost_BST = torch.bmm(x, y.mT)
        torch.bmm(cost_BST, y)
        torch.bmm(cost_BST.mT, x)

    return step
