"""The features that w2v-BERT 2.0 and the encoders of SeamlessM4T were trained on."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad
from torchaudio.compliance.kaldi import fbank

from aista.data.features.base import Feature
from aista.registry import register

__all__ = ["SeamlessFbank"]

_WINDOW, _HOP = 400, 160
_MELS, _STRIDE = 80, 2
_EPSILON = 1e-7


@register("feature", "seamless_fbank")
class SeamlessFbank(Feature):
    """Filterbanks of w2v-BERT 2.0: Kaldi's log-mel, normalised per channel, two frames stacked to 160 channels.

    ``x = (y - mean(y)) / sqrt(var(y) + 1e-7)`` with ``y = log(mel)`` of 16-bit samples at 16 kHz: 80 mels
    from 20 to 8000 Hz, Povey windows of 25 ms every 10 ms, pre-emphasis 0.97. W samples give
    ``floor((1 + floor((W - 400) / 160)) / 2)`` frames of 20 ms, those that SeamlessM4TFeatureExtractor's
    attention mask keeps. Clips below 35 ms, which have no such frame, are completed with silence.

    Choose it for w2v-BERT 2.0 (encoder ``hf_speech``). Source: Seamless Communication 2023, arXiv 2312.05187.
    """

    dim = _MELS * _STRIDE
    sample_rate = 16_000
    content = "seamless_fbank"

    def __call__(self, wave: Tensor) -> Tensor:
        """``[W]`` -> ``[F, 160]``."""
        wave = pad(wave, (0, max(0, _WINDOW + _HOP - len(wave))))
        mel_FM: Tensor = fbank(
            wave.double()[None] * 2**15,
            sample_frequency=float(self.sample_rate),
            num_mel_bins=_MELS,
            low_freq=20.0,
            dither=0.0,
        )
        mel_FM = (mel_FM - mel_FM.mean(dim=0)) / (mel_FM.var(dim=0) + _EPSILON).sqrt()
        frames = len(mel_FM) // _STRIDE
        return mel_FM[: frames * _STRIDE].reshape(frames, self.dim).float()

    def num_frames(self, num_samples: int) -> int:
        """``max(1, (1 + (W - 400) // 160) // 2)``."""
        return max(1, (1 + (num_samples - _WINDOW) // _HOP) // _STRIDE)
