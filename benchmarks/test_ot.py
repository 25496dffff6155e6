"""Alignment step, forward and backward, beside its floor: the matrix products that no solver can avoid.

    OMP_NUM_THREADS=1 pytest benchmarks/test_ot.py --benchmark-group-by=param:workload --benchmark-sort=min

Read ratios within one run, never times from two machines. ``floor`` normalises both sides and takes three
padded matrix products (costs, two gradients); ``exact`` and the log domain show what speed is paid for.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aista.losses.ot.exact import exact
from aista.losses.ot.ipot import ipot
from aista.losses.ot.partial import partial
from aista.losses.ot.relaxed import relaxed
from aista.losses.ot.sinkhorn import sinkhorn
from aista.losses.ot.sinkhorn_divergence import sinkhorn_divergence
from aista.losses.ot.sliced import sliced

WORKLOADS = {  # utterances, speech positions, tokens, width
    "quickstart": (16, 40, 15, 128),
    "small": (8, 50, 16, 256),
    "typical": (16, 200, 40, 1024),
    "large": (16, 375, 128, 2048),
}
Case = tuple[Tensor, Tensor, Tensor, Tensor]


def _case(workload: str) -> Case:
    """Speech states that follow their tokens in time, with noise; lengths between a third and all."""
    B, S, T, D = WORKLOADS[workload]
    g = torch.Generator().manual_seed(0)
    x_lengths, y_lengths = (torch.randint(size // 3, size + 1, (B,), generator=g) for size in (S, T))
    x_lengths[0], y_lengths[0] = S, T
    tokens = torch.randn(B, T, D, generator=g)
    nearest = (torch.arange(S)[None] * y_lengths[:, None] // x_lengths[:, None]).clamp(max=T - 1)
    spoken = tokens.gather(1, nearest[:, :, None].expand(-1, -1, D))
    shared = torch.randn(1, 1, D, generator=g)
    return (
        0.6 * spoken + 0.8 * torch.randn(B, S, D, generator=g) + 0.6 * shared,
        tokens + 0.8 * shared,
        x_lengths,
        y_lengths,
    )


def _floor(x: Tensor, y: Tensor, *_: Tensor) -> None:
    x, y = (z / torch.linalg.vector_norm(z, dim=-1, keepdim=True) for z in (x, y))
    costs = torch.bmm(x, y.mT)
    torch.bmm(costs, y)
    torch.bmm(costs.mT, x)


def _step(solver: Callable[..., object], *, detach_text: bool, **options: object) -> Callable[..., None]:
    def run(x: Tensor, y: Tensor, *lengths: Tensor) -> None:
        leaf_x, leaf_y = x.detach().requires_grad_(), y.detach().requires_grad_(not detach_text)
        solver(leaf_x, leaf_y, *lengths, **options).value.sum().backward()  # type: ignore[attr-defined]

    return run


STEPS = {
    "floor": _floor,
    "sinkhorn": _step(sinkhorn, detach_text=False),
    "sinkhorn, text detached": _step(sinkhorn, detach_text=True),
    "sinkhorn, not polished": _step(sinkhorn, detach_text=False, polish=False),
    "sinkhorn divergence": _step(sinkhorn_divergence, detach_text=False),
    "unbalanced": _step(sinkhorn, detach_text=False, rho=(1.0, 1.0)),
    "sinkhorn, log domain": _step(sinkhorn, detach_text=False, backend="reference"),
    "exact": _step(exact, detach_text=False),
    "partial": _step(partial, detach_text=False),
    "ipot": _step(ipot, detach_text=False),
    "relaxed": _step(relaxed, detach_text=False),
    "sliced": _step(sliced, detach_text=False),
}


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("step", STEPS)
def test_step(benchmark, workload, step):
    case = _case(workload)
    benchmark.pedantic(STEPS[step], args=case, rounds=7 if WORKLOADS[workload][3] < 1024 else 4, warmup_rounds=1)
