"""Checks of decoded samples, from a file or in memory."""

from __future__ import annotations

import math

from torch import Tensor

from aista.data.audio_file import EmptyAudioError, TooLongAudioError, UndecodableAudioError

__all__ = ["Levels", "check_length", "check_rate"]

_LARGEST = 2.0**31
_USUAL_RATE = 16_000
_LARGEST_FILTER = 2**28  # coefficients of a resampling filter
_CANCELLED = 1e-6  # of the channels' power: 60 dB


def check_rate(name: str, rate: int) -> None:
    """Raise UndecodableAudioError for a sample rate whose resampling would need too much memory."""
    if rate * _USUAL_RATE // math.gcd(rate, _USUAL_RATE) ** 2 > _LARGEST_FILTER:
        raise UndecodableAudioError(
            f"{name}: its sample rate of {rate} Hz has so little in common with {_USUAL_RATE} Hz that resampling takes "
            "gigabytes; convert it, for example to 16000 Hz"
        )


def check_length(name: str, seconds: float, max_seconds: float) -> None:
    """Raise TooLongAudioError for audio longer than a limit."""
    if seconds > max_seconds:
        raise TooLongAudioError(
            f"{name}: must last at most {max_seconds:g} s, got {seconds:.2f} s; cut it, or raise data.max_seconds",
            seconds,
        )


class Levels:
    """Levels of the channels and of their mean, which is what a model gets."""

    def __init__(self) -> None:
        self.samples = 0
        self._peak, self._power, self._channel_power = 0.0, 0.0, 0.0

    def add(self, block_WC: Tensor) -> Tensor:
        """Add the next block; returns the ``[W]`` mean of its channels."""
        block_W = block_WC.mean(dim=1)
        self.samples += len(block_W)
        peak = float(block_W.abs().max())
        self._peak = peak if math.isnan(peak) else max(self._peak, peak)
        self._power += float(block_W.double().square().sum())
        self._channel_power += float(block_WC.double().square().sum()) / block_WC.size(1)
        return block_W

    def check(self, name: str) -> None:
        """Raise DataError unless a model can use the audio."""
        if self.samples == 0:
            raise EmptyAudioError(f"{name}: holds no samples; replace the file or remove the row")
        if not self._peak <= _LARGEST:
            raise UndecodableAudioError(
                f"{name}: samples must be finite and at most {_LARGEST:g}, as those of any integer format, got "
                f"{self._peak:g}; encode the file again"
            )
        if self._channel_power == 0:
            raise EmptyAudioError(f"{name}: every sample is zero; record or cut it again, or remove the row")
        if self._power <= _CANCELLED * self._channel_power:
            raise EmptyAudioError(
                f"{name}: the mean of its channels, which is what a model gets, is silent: they have opposite phases; "
                "keep one of them"
            )
