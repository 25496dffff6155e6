"""Sizes to measure at, and the states of each.

B: utterances; S: speech positions; T: tokens; D: width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aista.types import length_mask

__all__ = ["EPSILON", "ITERATIONS", "WORKLOADS", "Case", "Workload", "fold_layers", "least_bytes", "make_case"]

ITERATIONS = 50
EPSILON = 0.1  # of each sample's mean cost


class Workload(NamedTuple):
    """The padded sizes of a batch."""

    B: int
    S: int
    T: int
    D: int


WORKLOADS = {
    "quickstart": Workload(16, 40, 15, 128),
    "small": Workload(8, 50, 16, 256),
    "typical": Workload(16, 200, 40, 1024),
    "large": Workload(16, 375, 128, 2048),
    "xl": Workload(8, 1500, 128, 1024),
    "long": Workload(8, 1500, 512, 1024),
}


def fold_layers(workload: Workload, layers: int) -> Workload:
    """The states of several layers at once, as a training step aligns them."""
    return workload._replace(B=workload.B * layers)


class Case(NamedTuple):
    """States ``[B, S, D]`` and ``[B, T, D]``, with lengths ``[B]``."""

    x_BSD: Tensor
    y_BTD: Tensor
    x_lengths_B: Tensor
    y_lengths_B: Tensor

    def masses(self) -> tuple[Tensor, Tensor]:
        """Uniform ``[B, S]`` and ``[B, T]``, 0 in the padding."""
        sides = ((self.x_lengths_B, self.x_BSD), (self.y_lengths_B, self.y_BTD))
        a_BS, b_BT = (length_mask(lengths, z.shape[1]) / lengths[:, None] for lengths, z in sides)
        return a_BS.float(), b_BT.float()

    def to(self, device: str, dtype: torch.dtype) -> Case:
        """A copy elsewhere, the states in another type."""
        x, y = (z.to(device, dtype) for z in (self.x_BSD, self.y_BTD))
        return Case(x, y, self.x_lengths_B.to(device), self.y_lengths_B.to(device))


def make_case(workload: Workload, seed: int = 0) -> Case:
    """Speech states that follow their tokens in time, with noise, in fp32; lengths between a third and all."""
    B, S, T, D = workload
    g = torch.Generator().manual_seed(seed)
    x_lengths, y_lengths = (torch.randint(max(1, size // 3), size + 1, (B,), generator=g) for size in (S, T))
    x_lengths[0], y_lengths[0] = S, T
    tokens = torch.randn(B, T, D, generator=g)
    nearest = (torch.arange(S)[None] * y_lengths[:, None] // x_lengths[:, None]).clamp(max=T - 1)
    spoken = tokens.gather(1, nearest[:, :, None].expand(-1, -1, D))
    shared = torch.randn(1, 1, D, generator=g)
    x_BSD = 0.6 * spoken + 0.8 * torch.randn(B, S, D, generator=g) + 0.6 * shared
    return Case(x_BSD, tokens + 0.8 * shared, x_lengths, y_lengths)


def least_bytes(case: Case) -> int:
    """Minimum bytes that a step moves: states read twice, gradients written, and six times the costs' size in fp32.

    The costs are written, read by iterations and evaluation; the plan is written and read for each side's gradient.
    """
    states = sum(z.numel() * z.element_size() for z in (case.x_BSD, case.y_BTD))
    return 3 * states + 6 * 4 * len(case.x_BSD) * case.x_BSD.shape[1] * case.y_BTD.shape[1]
