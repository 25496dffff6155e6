"""Attention masks of padded states, in the form that transformers' blocks take."""

from __future__ import annotations

import torch
from torch import Tensor

from aista.types import length_mask

__all__ = ["attention_mask"]


def attention_mask(lengths: Tensor, h_BSE: Tensor) -> Tensor | None:
    """Additive mask ``[B, 1, 1, S]`` of the keys; None where nothing is padded."""
    mask_BS = length_mask(lengths, h_BSE.size(1))
    if bool(mask_BS.all()):
        return None
    zeros = torch.zeros(mask_BS.shape, dtype=h_BSE.dtype, device=h_BSE.device)
    return zeros.masked_fill(~mask_BS, torch.finfo(h_BSE.dtype).min)[:, None, None, :]
