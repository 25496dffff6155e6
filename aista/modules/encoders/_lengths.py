"""The lengths that an encoder takes and gives, and what attention sees of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aista.errors import DataError
from aista.types import length_mask

__all__ = ["KernelsAndStrides", "attention_mask", "check_lengths", "conv_lengths", "receptive_field"]

KernelsAndStrides = Sequence[tuple[int, int]]


def check_lengths(lengths: Tensor, length_range: tuple[int, int], *, unit: str, remedy: str) -> list[int]:
    """The lengths as a list, or DataError naming the first row outside ``length_range``."""
    minimum, maximum = length_range
    values: list[int] = lengths.tolist()
    for row, length in enumerate(values):
        if not minimum <= length <= maximum:
            bound = f"at least {minimum}" if length < minimum else f"at most {maximum}"
            raise DataError(f"row {row} of the batch has {length} {unit}; the encoder takes {bound}; {remedy}")
    return values


def conv_lengths(lengths: Tensor, convolutions: KernelsAndStrides) -> Tensor:
    """Lengths behind convolutions without padding: ``floor((n - kernel) / stride) + 1`` each."""
    for kernel, stride in convolutions:
        lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
    return lengths


def receptive_field(convolutions: KernelsAndStrides) -> int:
    """Samples that one state sees: the shortest waveform that gives a state."""
    size = 1
    for kernel, stride in reversed(convolutions):
        size = (size - 1) * stride + kernel
    return size


def attention_mask(lengths: Tensor, h_BSE: Tensor) -> Tensor | None:
    """Additive mask ``[B, 1, 1, S]`` of the keys; None where nothing is padded."""
    mask_BS = length_mask(lengths, h_BSE.size(1))
    if bool(mask_BS.all()):
        return None
    zeros = torch.zeros(mask_BS.shape, dtype=h_BSE.dtype, device=h_BSE.device)
    return zeros.masked_fill(~mask_BS, torch.finfo(h_BSE.dtype).min)[:, None, None, :]
