"""Resampling by windowed sinc (torchaudio), of whole waveforms and of blocks."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torchaudio.transforms import Resample

__all__ = ["resample", "resample_blocks"]


def resample(wave_W: Tensor, old_rate: int, new_rate: int) -> Tensor:
    """Resample a ``[W]`` waveform from ``old_rate`` to ``new_rate`` Hz."""
    if old_rate == new_rate:
        return wave_W
    resampled_W: Tensor = _resampler(old_rate, new_rate)(wave_W)
    return resampled_W


def resample_blocks(blocks: Iterable[Tensor], old_rate: int, new_rate: int) -> Iterator[Tensor]:
    """Resample a waveform in blocks ``[W]``; together they equal ``resample`` of the whole.

    Equal up to the last bits of float32; where the rates are equal, the blocks come as they are.
    """
    if old_rate == new_rate:
        yield from blocks
        return
    resampler = _resampler(old_rate, new_rate)
    common = math.gcd(old_rate, new_rate)
    stride, step = old_rate // common, new_rate // common  # `stride` samples become `step`
    context = math.ceil(resampler.width / stride) * stride  # samples on either side that the filter sees
    buffer_W, before = torch.zeros(0), 0  # of the buffer's samples, the first `before` are context alone
    for block_W in blocks:
        buffer_W = torch.cat([buffer_W, block_W])
        ready = (len(buffer_W) - before - context) // stride * stride
        if ready <= 0:
            continue
        done = before + ready
        yield resampler(buffer_W[: done + context])[before // stride * step : done // stride * step]
        before = min(done, context)
        buffer_W = buffer_W[done - before :]
    if len(buffer_W) > before:
        yield resampler(buffer_W)[before // stride * step :]


@functools.lru_cache(maxsize=16)
def _resampler(old_rate: int, new_rate: int) -> Resample:
    return Resample(old_rate, new_rate)
