"""Masked strided convolution over time, shared by encoders and adapters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from aista.types import zero_padding

__all__ = ["StridedConv", "ceil_divide", "stride_factors"]


def ceil_divide(lengths: Tensor, divisor: int) -> Tensor:
    """``ceil(lengths / divisor)`` of integer tensors: at least 1 where ``lengths`` is."""
    return torch.div(lengths + divisor - 1, divisor, rounding_mode="floor")


def stride_factors(total: int) -> tuple[int, ...]:
    """A power of two as that many strides of 2; ``(1,)`` for 1. Raises ValueError for other numbers."""
    if total < 1 or total & (total - 1):
        raise ValueError(f"a total stride must be a power of two (1, 2, 4, 8, ...), got {total}")
    return (2,) * (total.bit_length() - 1) or (1,)


class StridedConv(nn.Module):
    """1-D convolution with zero padding, so that n frames become ``ceil(n / stride)``.

    Each row is convolved as if it were alone: padding is zeroed before.
    """

    def __init__(self, input_dim: int, output_dim: int, *, kernel_size: int, stride: int) -> None:
        super().__init__()
        if kernel_size < stride:
            raise ValueError(
                f"kernel_size must be at least the stride, else frames are skipped: {kernel_size} < {stride}"
            )
        self.stride = stride
        self.is_even = kernel_size % 2 == 0
        self.conv = nn.Conv1d(input_dim, output_dim, kernel_size, stride, padding=(kernel_size - 1) // 2)

    def forward(self, x_BSE: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve ``[B, S, E]`` rows of ``lengths`` ``[B]``; returns ``[B, ceil(S / stride), E']`` and lengths."""
        x_BES = zero_padding(x_BSE, lengths).transpose(1, 2)
        if self.is_even:
            x_BES = pad(x_BES, (0, 1))
        return self.conv(x_BES).transpose(1, 2), ceil_divide(lengths, self.stride)
