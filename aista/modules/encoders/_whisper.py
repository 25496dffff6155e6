"""Whisper's encoder itself; imports transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu
from transformers import WhisperModel

from aista.modules.encoders._lengths import check_lengths
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.strided_conv import ceil_divide, zero_padding
from aista.types import length_mask

__all__ = ["WhisperEncoder"]


class WhisperEncoder(SpeechEncoder):
    """See ``aista.modules.encoders.whisper``. The decoder is dropped after loading."""

    positions: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        encoder = _load(path)
        self.output_dim = encoder.config.d_model
        self.dropout: float = encoder.dropout
        self.conv1: nn.Conv1d = encoder.conv1
        self.conv2: nn.Conv1d = encoder.conv2
        self.blocks: nn.ModuleList = encoder.layers
        self.layer_norm: nn.LayerNorm = encoder.layer_norm
        # Fixed sinusoids: as a buffer nobody trains them by mistake.
        self.register_buffer("positions", encoder.embed_positions.weight.detach().clone())
        self.length_range = (1, 2 * self.positions.size(0))
        self.train()

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer blocks."""
        return self.blocks

    def forward(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode log-mel features ``[B, F, M]``; see ``SpeechEncoder.forward``.

        Raises:
            DataError: a row is empty, or longer than the model's position table.
        """
        check_lengths(
            lengths,
            self.length_range,
            unit="feature frames",
            remedy="drop the row or cut the recording into shorter clips",
        )
        h_BSE, state_lengths = self._convolve(audio, lengths)
        h_BSE = h_BSE + self.positions[: h_BSE.size(1)].to(h_BSE.dtype)
        h_BSE = dropout(h_BSE, self.dropout, self.training)
        mask_B11S = _attention_mask(state_lengths, h_BSE)
        for block in self.blocks:
            h_BSE = block(h_BSE, mask_B11S, layer_head_mask=None)[0]
        normed_BSE: Tensor = self.layer_norm(h_BSE)
        return normed_BSE, state_lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """``ceil(F / 2)``."""
        return ceil_divide(lengths, 2)

    def _convolve(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        # Frames beyond the longest row would run past the position table for nothing.
        x_BFM = audio[:, : int(lengths.max())]
        x_BFM = zero_padding(x_BFM, lengths).to(self.conv1.weight.dtype)
        h_BFE = gelu(self.conv1(x_BFM.transpose(1, 2))).transpose(1, 2)
        h_BES = gelu(self.conv2(zero_padding(h_BFE, lengths).transpose(1, 2)))
        return h_BES.transpose(1, 2), self.output_lengths(lengths)


def _attention_mask(lengths: Tensor, h_BSE: Tensor) -> Tensor | None:
    """Additive mask ``[B, 1, 1, S]`` of the keys; None where nothing is padded."""
    mask_BS = length_mask(lengths, h_BSE.size(1))
    if bool(mask_BS.all()):
        return None
    zeros = torch.zeros(mask_BS.shape, dtype=h_BSE.dtype, device=h_BSE.device)
    return zeros.masked_fill(~mask_BS, torch.finfo(h_BSE.dtype).min)[:, None, None, :]


def _load(path: Path) -> Any:
    try:
        model, info = WhisperModel.from_pretrained(
            str(path),
            local_files_only=True,
            dtype=torch.float32,
            attn_implementation="sdpa",
            output_loading_info=True,
        )
    except OSError as error:
        raise ValueError(f"path: the Whisper model in {path} cannot be loaded: {error}") from error
    missing = [key for key in info["missing_keys"] if key.startswith("encoder.")]
    if missing:
        raise ValueError(f"path: the weights in {path} lack {len(missing)} tensors of the encoder, e.g. {missing[0]}")
    return model.encoder
