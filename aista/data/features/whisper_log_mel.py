"""The features that Whisper encoders were trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from aista.data.features.base import Feature
from aista.registry import register
from aista.schema import Options, option

__all__ = ["WhisperLogMel", "WhisperLogMelConfig"]

_WINDOW, _HOP = 400, 160
_CHUNK = 480_000  # samples in Whisper's 30 seconds
_DYNAMIC_RANGE = 8.0  # decades below the loudest value


@dataclass(frozen=True, kw_only=True)
class WhisperLogMelConfig(Options):
    """Options of ``whisper_log_mel``."""

    num_mels: int = option(
        80, "Mel channels: 80, or 128 for large-v3 and its descendants.", choices=(80, 128), maximum=10_000
    )
    pad_to_30s: bool = option(
        False, "Pad with silence to 30 seconds, as Whisper does: 3000 frames and 1500 states for any clip."
    )


@register("feature", "whisper_log_mel", config=WhisperLogMelConfig)
class WhisperLogMel(Feature):
    """Whisper's log-mel features, without the frames of its padding to 30 seconds.

    ``y = log10(max(mel, 1e-10)); y = (max(y, max(y) - 8) + 4) / 4`` at 16 kHz, 25 ms windows every
    10 ms, Slaney mels. The maximum is over the *padded* 30 seconds in Whisper: frames just past the
    end still see the last samples, so they are computed too; silence further out never exceeds
    them. W samples give ``ceil(W / 160)`` frames, equal to the first ones of Whisper's 3000. A
    longer recording is cut into pieces of 30 seconds, the last one shorter; each is treated as
    Whisper would treat it alone, and their frames follow one another.

    Choose it for every Whisper encoder, and for nothing else. ``pad_to_30s`` gives the encoder exactly
    what it was trained on, at up to ten times the cost (docs/encoders.md). Source: Radford et al. 2023,
    arXiv 2212.04356.
    """

    sample_rate = 16_000
    content = "whisper_log_mel"

    def __init__(self, config: WhisperLogMelConfig) -> None:
        self.dim = config.num_mels
        self._pads = config.pad_to_30s
        self._window = torch.hann_window(_WINDOW)
        self._filters_KM = _slaney_filters(config.num_mels)

    def __call__(self, wave: Tensor) -> Tensor:
        return torch.cat([self._chunk(chunk) for chunk in torch.split(wave, _CHUNK)])

    def num_frames(self, num_samples: int) -> int:
        """``ceil(W / 160)``; with ``pad_to_30s`` 3000 for each 30 seconds begun."""
        if self._pads:
            return math.ceil(num_samples / _CHUNK) * (_CHUNK // _HOP)
        return math.ceil(num_samples / _HOP)

    def covered_seconds(self, seconds: float) -> float:
        """The duration; with ``pad_to_30s`` 30 for each 30 seconds begun."""
        whole = _CHUNK / self.sample_rate
        return math.ceil(seconds / whole) * whole if self._pads else seconds

    def _chunk(self, wave: Tensor) -> Tensor:
        num_samples = len(wave)
        audible = _HOP * math.ceil((num_samples + _WINDOW) / _HOP)
        padded = _CHUNK if self._pads else min(_CHUNK, audible)
        wave = torch.nn.functional.pad(wave, (0, padded - num_samples))
        spectrum_KF = torch.stft(wave, _WINDOW, _HOP, window=self._window, return_complex=True)[:, :-1]
        mel_FM = (spectrum_KF.abs() ** 2).T @ self._filters_KM
        log_FM: Tensor = mel_FM.clamp(min=1e-10).log10()
        log_FM = (log_FM.maximum(log_FM.max() - _DYNAMIC_RANGE) + 4.0) / 4.0
        return log_FM[: self.num_frames(num_samples)].contiguous()


def _slaney_filters(num_mels: int) -> Tensor:
    """``[K, M]`` triangles of equal area on Slaney's mel scale: linear below 1 kHz, logarithmic above.

    In float64: single precision moves the edges of the 128 narrow filters by 2e-5 of a feature.
    """
    top_mel = 15 + 27 * math.log(8000 / 1000) / math.log(6.4)
    mels = torch.linspace(0, top_mel, num_mels + 2, dtype=torch.float64)
    hertz = torch.where(mels < 15, mels * 200 / 3, 1000 * torch.exp((mels - 15) * math.log(6.4) / 27))
    bins_K1 = torch.linspace(0, 8000, _WINDOW // 2 + 1, dtype=torch.float64)[:, None]
    low, centre, high = hertz[:-2], hertz[1:-1], hertz[2:]
    rising, falling = (bins_K1 - low) / (centre - low), (high - bins_K1) / (high - centre)
    return (rising.minimum(falling).clamp(min=0) * 2 / (high - low)).float()
