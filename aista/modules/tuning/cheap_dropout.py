"""Dropout that is fast on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["CheapDropout"]

_LEVELS = 1 << 16


class CheapDropout(nn.Dropout):
    """Dropout whose mask takes 16 random bits an element on CPUs, several times faster than torch's own.

    The probability is rounded to a multiple of 1/65536, and the divisor follows it, so that the mean is kept.
    """

    def forward(self, x: Tensor) -> Tensor:
        # Shapes without values, which a dry run traces, are subclasses: they count as on a GPU.
        if not self.training or x.device.type != "cpu" or type(x) is not Tensor:
            output: Tensor = super().forward(x)
            return output
        threshold = round(self.p * _LEVELS)
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
        levels = words.view(torch.int16)[: x.numel()].view(x.shape)
        # As numbers, not as bools: torch multiplies by those several times slower.
        mask = torch.ge(levels, threshold - _LEVELS // 2, out=torch.empty_like(x, requires_grad=False))
        return x * mask.mul_(_LEVELS / (_LEVELS - threshold))
