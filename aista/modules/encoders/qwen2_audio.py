"""The audio tower of Qwen2-Audio."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel

from aista.hub import local_folder
from aista.modules.encoders.base import ExpectedInput, SpeechEncoder
from aista.modules.encoders.whisper import WhisperEncoder, expect_log_mel
from aista.modules.folder_weights import fill_from_folder
from aista.modules.hf_folder import build_skeleton, read_config
from aista.registry import register
from aista.schema import Options, required

__all__ = ["Qwen2AudioEncoder", "Qwen2AudioEncoderConfig", "qwen2_audio"]

_POOL = 2


@dataclass(frozen=True, kw_only=True)
class Qwen2AudioEncoderConfig(Options):
    """Options of the encoder ``qwen2_audio``."""

    path: Path = required(
        "Qwen2-Audio: a folder with config.json and *.safetensors, or a name on the hub.", pretrained="weights"
    )

    def skeleton(self, *, feature_dim: int) -> SpeechEncoder:
        """The encoder from the folder's config.json alone, for weights that are loaded later."""
        return qwen2_audio(self, feature_dim=feature_dim, with_weights=False)


@register("encoder", "qwen2_audio", config=Qwen2AudioEncoderConfig)
def qwen2_audio(config: Qwen2AudioEncoderConfig, *, feature_dim: int, with_weights: bool = True) -> SpeechEncoder:
    """The audio tower of Qwen2-Audio (Chu et al. 2024, arXiv 2407.10759): a Whisper encoder with average pooling by 2.

    F log-mel frames become ``ceil(F / 2) // 2`` states (25 a second). Only this tower's tensors are read from the
    folder. Clips are encoded at their own length, as in ``whisper``, those over 30 s in windows. Features must be
    Whisper's own (``whisper_log_mel``), with 128 channels.

    Choose it with the adapter and the LLM of the same name and folder for the whole of Qwen2-Audio, or alone as an
    encoder for another LLM.

    Raises:
        ValueError: the folder holds no Qwen2-Audio model in safetensors, or the features have other channels.
    """
    folder = local_folder(config.path, "weights" if with_weights else "config")
    settings = read_config(folder, ("qwen2_audio",)).audio_config
    expected = expect_log_mel(folder, settings.num_mel_bins, feature_dim)
    tower = build_skeleton(AutoModel, folder, settings, dtype=torch.float32, attention="sdpa")
    if with_weights:
        fill_from_folder(tower, folder, "audio_tower.{}".format)
    return Qwen2AudioEncoder(tower, expected)


class Qwen2AudioEncoder(WhisperEncoder):
    """Whisper's encoder with average pooling of two states before the final norm."""

    def __init__(self, tower: Any, expected: ExpectedInput) -> None:
        super().__init__(tower, "last", expected)
        self.length_range = (2 * _POOL - 1, self.length_range[1])

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode log-mel features ``[B, F, M]``."""
        h_BSE, _ = super().encode(audio, lengths)
        size = h_BSE.size(1) // _POOL * _POOL
        pooled_BSE = torch.stack([h_BSE[:, start:size:_POOL] for start in range(_POOL)]).mean(dim=0)
        assert self.layer_norm is not None
        return self.layer_norm(pooled_BSE), self.output_lengths(lengths)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """``ceil(F / 2) // 2``; windows have a multiple of 4 frames, so no pair spans two of them."""
        return self.num_unpooled(lengths) // _POOL

    def finish(self, h_NSE: Tensor) -> Tensor:
        """Return the states unchanged; the final norm follows the pooling."""
        return h_NSE
