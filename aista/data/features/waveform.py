"""Raw waveforms, for encoders that learn their own front end."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from aista.data.features.base import Feature
from aista.registry import register
from aista.schema import option

__all__ = ["Waveform", "WaveformConfig"]

_EPSILON = 1e-7  # as in Hugging Face's Wav2Vec2FeatureExtractor


@dataclass(frozen=True, kw_only=True)
class WaveformConfig:
    """Options of ``waveform``."""

    sample_rate: int = option(16_000, "Rate in Hz that files are resampled to.", minimum=1000)
    normalize: bool = option(True, "Shift and scale each utterance to zero mean and unit variance.")


@register("feature", "waveform", config=WaveformConfig)
class Waveform(Feature):
    """The samples themselves; ``(x - mean) / sqrt(var + 1e-7)`` over the utterance where normalised.

    Choose it for wav2vec2, HuBERT, WavLM and their kin: the large ones were trained on normalised
    input, the first wav2vec2 base on plain samples (``normalize: false``).
    """

    dim = 0

    def __init__(self, config: WaveformConfig) -> None:
        self.sample_rate = config.sample_rate
        self._normalize = config.normalize

    def __call__(self, wave: Tensor) -> Tensor:
        """``[W]`` -> ``[W]``."""
        if not self._normalize:
            return wave
        return (wave - wave.mean()) / (wave.var(correction=0) + _EPSILON).sqrt()

    def num_frames(self, num_samples: int) -> int:
        """As many as samples."""
        return num_samples
