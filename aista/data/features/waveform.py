"""Raw waveforms, for encoders that learn their own front end."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from aista.data.features.base import Feature
from aista.registry import register
from aista.schema import Options, option

__all__ = ["Waveform", "WaveformConfig"]

_EPSILON = 1e-7  # as in Hugging Face's Wav2Vec2FeatureExtractor


@dataclass(frozen=True, kw_only=True)
class WaveformConfig(Options):
    """Options of ``waveform``."""

    sample_rate: int = option(16_000, "Rate in Hz that files are resampled to.", minimum=1000, maximum=1_000_000)
    normalize: bool = option(True, "Shift and scale each utterance to zero mean and unit variance.")


@register("feature", "waveform", config=WaveformConfig)
class Waveform(Feature):
    """Raw samples, optionally normalised over the utterance: ``(x - mean) / sqrt(var + 1e-7)``.

    Choose it for wav2vec 2.0, HuBERT, WavLM, data2vec and their kin; ``do_normalize`` in a model's
    preprocessor_config.json says whether it was trained on normalised samples (the large models) or
    plain ones (``normalize: false``), and ``hf_speech`` checks it.
    """

    dim = 0

    def __init__(self, config: WaveformConfig) -> None:
        self.sample_rate = config.sample_rate
        self._normalize = config.normalize
        self.content = "normalized waveform" if config.normalize else "plain waveform"

    def __call__(self, wave: Tensor) -> Tensor:
        if not self._normalize:
            return wave
        return (wave - wave.mean()) / (wave.var(correction=0) + _EPSILON).sqrt()

    @override
    def num_frames(self, num_samples: int) -> int:
        return num_samples
