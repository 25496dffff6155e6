"""Recordings in memory, checked by the same rules as files, and a common way to read both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from aista.data.audio import read_audio, stream_audio
from aista.data.resampling import resample, resample_blocks
from aista.data.sample_checks import Levels, check_length, check_rate
from aista.errors import DataError, shown

__all__ = ["Recorded", "Waveform", "read_recorded", "stream_recorded"]


class Waveform:
    """A recording in memory, in place of a file.

    The same samples at the same rate are translated as a file that holds them.

    Args:
        samples: ``[W]`` floating-point samples of one channel, in [-1, 1]: a NumPy array, a tensor, or a sequence.
        sample_rate: Sample rate in Hz.
        name: Name in messages.

    Raises:
        DataError: no sample rate; several channels, integers, no samples, only zeros, or samples that are not finite.
    """

    def __init__(self, samples: Any, sample_rate: int | None, *, name: str = "array") -> None:
        self.name = name
        self.sample_rate = _sample_rate(sample_rate, name)
        self.samples_W = _samples(samples, name)

    @override
    def __str__(self) -> str:
        return self.name

    @override
    def __repr__(self) -> str:
        return f"Waveform({self.name!r}, {len(self.samples_W)} samples, {self.sample_rate} Hz)"


Recorded = str | Waveform
"""The path of a file, or a recording in memory."""


def read_recorded(recorded: Recorded, sample_rate: int, *, max_seconds: float = math.inf) -> Tensor:
    """A whole recording at ``sample_rate`` Hz, ``[W]`` float32; raises DataError as ``read_audio``."""
    if isinstance(recorded, str):
        return read_audio(recorded, Path(), sample_rate, max_seconds=max_seconds)
    check_length(recorded.name, len(recorded.samples_W) / recorded.sample_rate, max_seconds)
    return resample(recorded.samples_W, recorded.sample_rate, sample_rate)


def stream_recorded(recorded: Recorded, sample_rate: int) -> Iterator[Tensor]:
    """The same as successive blocks ``[W]``, of any length; raises DataError as ``stream_audio``."""
    if isinstance(recorded, str):
        return stream_audio(recorded, Path(), sample_rate)
    return resample_blocks(iter([recorded.samples_W]), recorded.sample_rate, sample_rate)


def _sample_rate(rate: int | None, name: str) -> int:
    if rate is None:
        raise DataError(f"{name}: samples do not say their rate; give sample_rate in Hz, e.g. sample_rate=16000")
    if isinstance(rate, bool) or rate != int(rate) or rate < 1:
        raise DataError(f"{name}: sample_rate must be a whole number of Hz, got {shown(rate)}")
    check_rate(name, int(rate))
    return int(rate)


def _samples(samples: Any, name: str) -> Tensor:
    try:
        samples_W = torch.as_tensor(samples).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name}: must hold samples of one recording, got {shown(samples)}: {error}") from None
    if samples_W.ndim != 1:
        raise DataError(
            f"{name}: must have one channel, of shape [W], got shape {list(samples_W.shape)}; average the channels, "
            "e.g. samples.mean(0) where they come first"
        )
    if not samples_W.is_floating_point():
        raise DataError(
            f"{name}: samples must be floats in [-1, 1], got {samples_W.dtype}; divide them by their full scale, which "
            "is 32768 for int16"
        )
    levels = Levels()
    if len(samples_W):
        samples_W = levels.add(samples_W.float()[:, None])
    levels.check(name)
    return samples_W
