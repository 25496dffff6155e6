"""The audio tower of Qwen2-Audio itself; imports transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel

from aista.modules.encoders._whisper import WhisperEncoder
from aista.modules.encoders.base import ExpectedInput
from aista.modules.hf_folder import build_skeleton, fill_from_folder

__all__ = ["Qwen2AudioEncoder", "load_qwen2_audio"]

_POOL = 2


def load_qwen2_audio(folder: Path, settings: Any, expected: ExpectedInput, *, with_weights: bool) -> Qwen2AudioEncoder:
    """The audio tower of a folder, in float32."""
    tower = build_skeleton(AutoModel, folder, settings, dtype=torch.float32, attention="sdpa")
    if with_weights:
        fill_from_folder(tower, folder, "audio_tower.{}".format)
    return Qwen2AudioEncoder(tower, expected)


class Qwen2AudioEncoder(WhisperEncoder):
    """See ``aista.modules.encoders.qwen2_audio``."""

    def __init__(self, tower: Any, expected: ExpectedInput) -> None:
        super().__init__(tower, "last", expected)
        self.length_range = (2 * _POOL - 1, self.length_range[1])

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode log-mel features ``[B, F, M]``; see ``SpeechEncoder``."""
        h_BSE, _ = super().encode(audio, lengths)
        size = h_BSE.size(1) // _POOL * _POOL
        pooled_BSE = torch.stack([h_BSE[:, start:size:_POOL] for start in range(_POOL)]).mean(dim=0)
        assert self.layer_norm is not None
        return self.layer_norm(pooled_BSE), self.output_lengths(lengths)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """``ceil(F / 2) // 2``; windows have a multiple of 4 frames, so no pair spans two of them."""
        return self.num_unpooled(lengths) // _POOL

    def finish(self, h_NSE: Tensor) -> Tensor:
        """As given: the final norm follows the pooling."""
        return h_NSE
