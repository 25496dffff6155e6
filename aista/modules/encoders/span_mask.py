"""SpecAugment inside an encoder: random masks over spans of its input states, drawn by torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["span_mask"]


def span_mask(lengths: Sequence[int], size: int, *, share: float, span: int) -> Tensor:
    """Draw random spans: ``[B, size]`` bool on the CPU (Park et al. 2019; Baevski et al. 2020).

    A row of n entries gets ``floor(share * n / span + u)`` spans, u uniform in [0, 1), whose starts are
    drawn without replacement; spans may overlap, so ``share`` bounds the expected masked part. Rows shorter
    than a span are left alone. transformers draws the same from NumPy's generator, which no run restores.

    Args:
        lengths: Entries of each row.
        size: Entries of the longest row.
        share: Expected part of a row that is masked, if no spans overlapped.
        span: Entries of a span.
    """
    mask_BS = torch.zeros(len(lengths), size, dtype=torch.bool)
    for row, length in enumerate(lengths):
        places = length - span + 1
        if places < 1:
            continue
        count = min(int(share * length / span + float(torch.rand(()))), places)
        starts = torch.randperm(places)[:count]
        mask_BS[row, (starts[:, None] + torch.arange(span)).flatten()] = True
    return mask_BS
