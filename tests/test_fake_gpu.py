"""The checker of host waits notices them, and lets pass what only queues work."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.fake_gpu import WAITS, fake_gpu


def _ctc(x: Tensor) -> Tensor:
    lengths = torch.ones_like(x, dtype=torch.long)
    return functional.ctc_loss(x.expand(5, 2, 2).log_softmax(-1), lengths[:, None], 5 * lengths, lengths)


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: float(x[0]),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.unique(),
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: torch.tensor([1.0], device=x.device),
        lambda x: torch.ones(1).to(x.device),
        lambda x: x.copy_(torch.ones(2)),
        lambda x: x[[0]],
        lambda x: torch.linalg.eigvalsh(x.diag()),
        lambda x: torch.linalg.solve(x.diag(), x),
        _ctc,
    ],
)
def test_what_waits_is_noticed(wait: Callable[[Tensor], object]) -> None:
    with fake_gpu() as device:
        x = torch.ones(2, device=device)
        with pytest.raises(WAITS):
            wait(x)


def test_a_wait_in_backward_is_noticed() -> None:
    class Reads(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * float(grad.sum())

    with fake_gpu() as device:
        y = Reads.apply(torch.ones(2, device=device, requires_grad=True)).sum()
        with pytest.raises(WAITS):
            y.backward()


@pytest.mark.parametrize(
    "queue",
    [
        lambda x: torch.tensor([1.0]).to(x.device, non_blocking=True),
        lambda x: torch.where(x > 0, 1.0, x).sum(),
        lambda x: x[x.long().clamp(max=1)],
        lambda x: x.new_full((), 3.0),
        lambda x: torch.linalg.cholesky_ex(x.diag()).L,
        lambda x: x.sort().values,
    ],
)
def test_what_only_queues_work_passes(queue: Callable[[Tensor], Tensor]) -> None:
    with fake_gpu() as device:
        assert queue(torch.ones(2, device=device)).device.type == device.type
