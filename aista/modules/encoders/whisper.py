"""Whisper's encoder from a local Hugging Face folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aista.modules.encoders.base import ExpectedInput, SpeechEncoder
from aista.modules.encoders.layer_mix import LAYERS_HELP, LayerChoice
from aista.registry import register
from aista.schema import Options, option, required

__all__ = ["WhisperConfig", "expect_log_mel", "whisper"]


@dataclass(frozen=True, kw_only=True)
class WhisperConfig(Options):
    """Options of the encoder ``whisper``."""

    path: Path = required("Folder of a Hugging Face Whisper model (config.json and *.safetensors).")
    layers: LayerChoice = option("last", LAYERS_HELP)

    def skeleton(self, *, feature_dim: int) -> SpeechEncoder:
        """The encoder from the folder's config.json alone, for weights that are loaded later."""
        return _build(self, feature_dim, with_weights=False)


@register("encoder", "whisper", config=WhisperConfig)
def whisper(config: WhisperConfig, *, feature_dim: int) -> SpeechEncoder:
    r"""The encoder of Whisper (Radford et al. 2023, arXiv 2212.04356), F log-mel frames -> ``ceil(F / 2)`` states.

    Clips are encoded at their own length: the position table is cut and padding is masked, so a 5 s clip
    costs a sixth of the 30 s that Whisper's own forward insists on. Its states differ from those of the padded
    clip, in which silence follows that attention sees (docs/encoders.md has figures); where they must be the
    same, set ``pad_to_30s`` of the feature. Longer clips are cut into windows of 30 s that do not overlap, each
    is encoded alone, and the states follow one another. Features must be Whisper's own (``whisper_log_mel``).

    Choose it for real speech in the languages it was trained on; freeze it with ``freeze_params: [encoder]``
    (with ``layers: weighted``: ``['encoder\.(?!mix).*']``).

    Raises:
        ValueError: the folder holds no Whisper model in safetensors, or the features have other channels.
    """
    return _build(config, feature_dim, with_weights=True)


def _build(config: WhisperConfig, feature_dim: int, *, with_weights: bool) -> SpeechEncoder:
    from aista.modules.encoders._whisper import load_whisper
    from aista.modules.hf_folder import read_config

    settings = read_config(config.path, ("whisper",))
    expected = expect_log_mel(config.path, settings.num_mel_bins, feature_dim)
    return load_whisper(config, settings, expected, with_weights=with_weights)


def expect_log_mel(path: Path, channels: int, feature_dim: int) -> ExpectedInput:
    """Whisper's features with that many channels; raises ValueError if the configured ones have others."""
    if feature_dim != channels:
        received = f"{feature_dim} channels" if feature_dim else "raw waveforms (feature_dim 0)"
        raise ValueError(
            f"the model in {path} reads log-mel features of {channels} channels, but the configured features are "
            f"{received}; configure whisper_log_mel features with {channels} channels"
        )
    remedy = f"{{name: whisper_log_mel, config: {{num_mels: {channels}}}}}"
    return ExpectedInput("whisper_log_mel", 16_000, remedy)
