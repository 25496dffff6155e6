"""Log-mel filterbank energies."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torchaudio.functional import melscale_fbanks
from torchaudio.transforms import MelSpectrogram

from aista.data.features.base import Feature
from aista.registry import register
from aista.schema import Options, option

__all__ = ["LogMel", "LogMelConfig"]

_FLOOR = 1e-10
_VARIANCE_FLOOR = 1e-5


@dataclass(frozen=True, kw_only=True)
class LogMelConfig(Options):
    """Options of ``log_mel``."""

    num_mels: int = option(80, "Mel channels.", minimum=1, maximum=10_000)
    sample_rate: int = option(16_000, "Rate in Hz that files are resampled to.", minimum=1000, maximum=1_000_000)
    window_ms: float = option(25.0, "Window length in milliseconds.", above=0, maximum=10_000)
    hop_ms: float = option(10.0, "Time between frames in milliseconds.", above=0, maximum=10_000)
    normalize: Literal["utterance", "none"] = option(
        "utterance", "Normalise each channel to zero mean and unit variance over the utterance."
    )


@register("feature", "log_mel", config=LogMelConfig)
class LogMel(Feature):
    """Log-mel filterbank, ``log(max(mel(|STFT|^2), 1e-10))``: natural logarithm, HTK mel scale, Hann window.

    The signal is taken as zero beyond its ends, so clips of any length work: W samples give
    ``1 + W // hop`` frames.

    Choose it for encoders trained from scratch (conformer). Pretrained Whisper encoders need
    ``whisper_log_mel``, w2v-BERT 2.0 ``seamless_fbank``, wav2vec 2.0 and its kin ``waveform``.
    """

    content = "log_mel"

    def __init__(self, config: LogMelConfig) -> None:
        self.dim = config.num_mels
        self.sample_rate = config.sample_rate
        window = round(config.window_ms * config.sample_rate / 1000)
        self._hop = round(config.hop_ms * config.sample_rate / 1000)
        if window < 2 or self._hop < 1:
            raise ValueError(
                f"window_ms and hop_ms must span samples, got {config.window_ms} and {config.hop_ms} ms at "
                f"{config.sample_rate} Hz; raise them"
            )
        _check_filters(config, window)
        self._normalize = config.normalize == "utterance"
        self._mel = MelSpectrogram(
            config.sample_rate,
            n_fft=window,
            hop_length=self._hop,
            n_mels=config.num_mels,
            pad_mode="constant",
        )

    def __call__(self, wave: Tensor) -> Tensor:
        mel_MF: Tensor = self._mel(wave)
        features_FM = mel_MF.T.clamp(min=_FLOOR).log()
        if not self._normalize:
            return features_FM.contiguous()
        centred_FM = features_FM - features_FM.mean(dim=0)
        return centred_FM / (features_FM.var(dim=0, correction=0) + _VARIANCE_FLOOR).sqrt()

    def num_frames(self, num_samples: int) -> int:
        """``1 + W // hop``."""
        return 1 + num_samples // self._hop


def _check_filters(config: LogMelConfig, window: int) -> None:
    """Refuse channels narrower than the FFT's resolution, which would be constant."""
    bins = window // 2 + 1
    with warnings.catch_warnings():  # torchaudio only warns of what is an error here
        warnings.filterwarnings("ignore", "At least one mel filterbank has all zero values")
        filters = melscale_fbanks(bins, 0.0, config.sample_rate / 2, config.num_mels, config.sample_rate)
    if bool((filters.amax(dim=0) == 0).any()):
        raise ValueError(
            f"num_mels must leave a frequency bin to every channel, got {config.num_mels} channels for {bins} bins; "
            "lower num_mels or raise window_ms"
        )
