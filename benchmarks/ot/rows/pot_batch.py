"""POT's batched solver on its torch backend.

Not with ``reg_type="kl"``, which is NaN with padding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.ot.rows.base import Outcome, Prepare, Step, cosine_cost, differentiate, sample_epsilon
from benchmarks.ot.workload import ITERATIONS, Case

__all__ = ["adapter"]


def adapter(method: str, grad: str = "envelope") -> Prepare:
    """An adapter of one of its methods and gradients.

    Args:
        method: Its default ``log_sinkhorn``, or ``sinkhorn``: the exp domain, faster where no exponential underflows.
        grad: ``envelope``, or ``last_step``, whose gradients are wrong: the check says by how much.
    """
    return lambda case: _prepare(case, method, grad)


def _prepare(case: Case, method: str, grad: str) -> Step:
    from ot.batch import solve_batch

    a, b = case.masses()
    # POT's entropy form differs from the KL form by this constant, in units of epsilon.
    constant_B = torch.special.entr(a).sum(1) + torch.special.entr(b).sum(1)
    options = {"reg": 1.0, "max_iter": ITERATIONS, "tol": 0.0, "method": method, "grad": grad}

    def values(x: Tensor, y: Tensor) -> Tensor:
        cost = cosine_cost(x, y)
        # Epsilon divides the costs, since POT takes one for all samples.
        epsilon = sample_epsilon(cost, a, b)
        value_B = solve_batch(cost / epsilon[:, None, None], a=a, b=b, **options).value
        return epsilon.mul(value_B + constant_B)

    def step() -> Outcome:
        return differentiate(case, values)

    return step
