"""Whisper's encoder from a local Hugging Face folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from aista.modules.encoders.base import SpeechEncoder
from aista.registry import register
from aista.schema import required

__all__ = ["WhisperConfig", "whisper"]


@dataclass(frozen=True, kw_only=True)
class WhisperConfig:
    """Options of the encoder ``whisper``."""

    path: Path = required("Folder of a Hugging Face Whisper model (config.json and weights).")


@register("encoder", "whisper", config=WhisperConfig)
def whisper(config: WhisperConfig, *, feature_dim: int) -> SpeechEncoder:
    """The encoder of Whisper (Radford et al. 2023), F log-mel frames -> ``ceil(F / 2)`` states.

    Clips are encoded at their own length: the position table is cut and padding is masked, so a 5 s
    clip costs a sixth of the 30 s that Whisper's own forward insists on. A full 30 s clip gives
    exactly Whisper's states; shorter ones differ from it in that no silence follows them. Features
    must be Whisper's own (``whisper_log_mel``). LayerDrop is not applied. Choose it for real speech
    in the languages it was trained on; freeze it with ``freeze_params: [encoder]``.

    Raises:
        ValueError: the folder holds no Whisper model, or the features have other channels.
    """
    settings = _read_config(config.path)
    channels = settings.get("num_mel_bins", 80)
    if feature_dim != channels:
        received = f"{feature_dim} channels" if feature_dim else "raw waveforms (feature_dim 0)"
        raise ValueError(
            f"the Whisper model in {config.path} reads log-mel features of {channels} channels, but the configured "
            f"features are {received}; configure whisper_log_mel features with {channels} channels"
        )
    from aista.modules.encoders._whisper import WhisperEncoder

    return WhisperEncoder(config.path)


def _read_config(path: Path) -> dict[str, object]:
    file = path / "config.json"
    if not file.is_file():
        raise ValueError(f"path: {path} is not the folder of a Hugging Face model (no {file.name} in it)")
    try:
        settings: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"path: {file} is not valid JSON: {error}") from error
    if settings.get("model_type") != "whisper":
        raise ValueError(f"path: {path} holds a model of type {settings.get('model_type')!r}, not 'whisper'")
    return settings
