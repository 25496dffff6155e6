"""Contracts of kind ``segmenter``."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from aista.data.segmenters.base import CountedBlocks, Segment, Segmenter
from aista.testing.contracts import contract
from aista.testing.tensors import ramp

_LONGEST = 2.0


@contract("segmenter")
def check_segments(segmenter: Segmenter) -> None:
    """Segments are within the recording, in order, of some length and at most the longest, and do not overlap."""
    for seconds in (0.01, 1.0, 1.99, 2.01, 7.3):
        wave_W = _sound(segmenter, seconds)
        duration, behind = len(wave_W) / segmenter.sample_rate, 0.0
        for start, end in segmenter.segments([wave_W], _LONGEST):
            place = f"{start} to {end} s of {duration} s"
            assert start >= behind, f"{place} begins before the end of the segment before, {behind} s"
            assert start < end <= duration + 1e-9, f"{place} is not within the recording"
            assert end - start <= _LONGEST + 1e-9, f"{place} is longer than the longest allowed, {_LONGEST} s"
            behind = end


@contract("segmenter")
def check_blocks(segmenter: Segmenter) -> None:
    """Any division into blocks gives the same segments; all blocks are read, and not changed."""
    wave_W = _sound(segmenter, 7.3)
    before = wave_W.clone()
    whole = segmenter.segments([wave_W], _LONGEST)
    for size in (len(wave_W), 4096, 777):
        blocks = CountedBlocks(torch.split(wave_W, size))
        assert _equal(segmenter.segments(blocks, _LONGEST), whole), f"blocks of {size} samples give other segments"
        assert blocks.samples == len(wave_W), f"of {len(wave_W)} samples, {blocks.samples} are taken"
    assert torch.equal(wave_W, before), "the waveform is changed in place"


@contract("segmenter")
def check_nothing(segmenter: Segmenter) -> None:
    """A recording without samples has no segments."""
    assert list(segmenter.segments(_no_blocks(), _LONGEST)) == [], "no samples give segments"


def _sound(segmenter: Segmenter, seconds: float) -> Tensor:
    """Speech-like audio from a seed: noise and modulated harmonics of 120 Hz, with pauses."""
    rate = segmenter.sample_rate
    time_W = torch.arange(round(seconds * rate)) / rate
    voice_W = sum((2 * math.pi * 120 * k * time_W).sin() / k for k in range(1, 20)) + 0.1 * ramp(len(time_W))
    return 0.1 * voice_W * (2 * math.pi * 2 * time_W).sin().clamp(0) * ((time_W % 3) < 2)


def _no_blocks() -> Iterator[Tensor]:
    yield from ()


def _equal(one: list[Segment], other: list[Segment]) -> bool:
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(abs(a - b) < 1e-6 for x, y in pairs for a, b in zip(x, y, strict=True))
