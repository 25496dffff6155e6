"""The audio tower of Qwen2-Audio from a local Hugging Face folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aista.modules.encoders.base import SpeechEncoder
from aista.modules.encoders.whisper import expect_log_mel
from aista.registry import register
from aista.schema import Options, required

__all__ = ["Qwen2AudioEncoderConfig", "qwen2_audio"]


@dataclass(frozen=True, kw_only=True)
class Qwen2AudioEncoderConfig(Options):
    """Options of the encoder ``qwen2_audio``."""

    path: Path = required("Folder of a Hugging Face Qwen2-Audio model (config.json and *.safetensors).")

    def skeleton(self, *, feature_dim: int) -> SpeechEncoder:
        """The encoder from the folder's config.json alone, for weights that are loaded later."""
        return _build(self, feature_dim, with_weights=False)


@register("encoder", "qwen2_audio", config=Qwen2AudioEncoderConfig)
def qwen2_audio(config: Qwen2AudioEncoderConfig, *, feature_dim: int) -> SpeechEncoder:
    """The audio tower of Qwen2-Audio (Chu et al. 2024, arXiv 2407.10759): a Whisper encoder, each two states averaged.

    F log-mel frames become ``ceil(F / 2) // 2`` states (25 a second). Only this tower's tensors are read from the
    folder. Clips are encoded at their own length, as in ``whisper``, those over 30 s in windows. Features must be
    Whisper's own (``whisper_log_mel``), with 128 channels.

    Choose it with the adapter and the LLM of the same name and folder for the whole of Qwen2-Audio, or alone as an
    encoder for another LLM.

    Raises:
        ValueError: the folder holds no Qwen2-Audio model in safetensors, or the features have other channels.
    """
    return _build(config, feature_dim, with_weights=True)


def _build(config: Qwen2AudioEncoderConfig, feature_dim: int, *, with_weights: bool) -> SpeechEncoder:
    from aista.modules.encoders._qwen2_audio import load_qwen2_audio
    from aista.modules.hf_folder import read_config

    settings = read_config(config.path, ("qwen2_audio",)).audio_config
    expected = expect_log_mel(config.path, settings.num_mel_bins, feature_dim)
    return load_qwen2_audio(config.path, settings, expected, with_weights=with_weights)
