"""Splits long rows into windows of a fixed length without overlap, and joins their states."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["Windows", "join_windows", "split_windows"]


class Windows(NamedTuple):
    """Windows of all rows, each row's in order, rows one after another.

    Attributes:
        frames: ``[N, F, M]``, zero in the padding.
        lengths: ``[N]``; only a row's last window may be shorter than the window.
        counts: Windows of each row.
    """

    frames: Tensor
    lengths: Tensor
    counts: tuple[int, ...]


def split_windows(x_BFM: Tensor, lengths: Tensor, size: int) -> Windows:
    """Cut rows, zero in their padding, every ``size`` frames; rows that fit stay as they are."""
    if x_BFM.size(1) <= size:
        return Windows(x_BFM, lengths, (1,) * len(x_BFM))
    x_BFM = pad(x_BFM, (0, 0, 0, -x_BFM.size(1) % size))
    x_BNFM = x_BFM.view(len(x_BFM), -1, size, x_BFM.size(2))
    starts_N = torch.arange(x_BNFM.size(1), device=lengths.device) * size
    lengths_BN = (lengths[:, None] - starts_N).clamp(max=size)
    is_used_BN = lengths_BN > 0
    return Windows(x_BNFM[is_used_BN], lengths_BN[is_used_BN], tuple(is_used_BN.sum(dim=1).tolist()))


def join_windows(states_NSE: Tensor, lengths: Tensor, windows: Windows) -> Tensor:
    """``[N, S, E]`` states of the windows, ``lengths`` of them each -> ``[B, S', E]``, zero in the padding."""
    if len(states_NSE) == len(windows.counts):
        return states_NSE
    content = [states_SE[:length] for states_SE, length in zip(states_NSE, lengths.tolist(), strict=True)]
    rows, start = [], 0
    for count in windows.counts:
        rows.append(torch.cat(content[start : start + count]))
        start += count
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
