"""Neighbouring frames side by side."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from aista.modules.strided_conv import zero_padding

__all__ = ["stack_frames"]


def stack_frames(x_BSE: Tensor, lengths: Tensor, stride: int) -> Tensor:
    """``[B, S, E]`` -> ``[B, ceil(S / stride), stride * E]``, with zeros behind each row's last frame."""
    x_BSE = zero_padding(x_BSE, lengths)
    x_BSE = pad(x_BSE, (0, 0, 0, -x_BSE.size(1) % stride))
    return x_BSE.reshape(x_BSE.size(0), x_BSE.size(1) // stride, stride * x_BSE.size(2))
