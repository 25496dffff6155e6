"""Whisper's encoder itself; imports transformers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import dropout, gelu
from transformers import AutoModel

from aista.modules.encoders.attention_mask import attention_mask
from aista.modules.encoders.base import ExpectedInput, SpeechEncoder
from aista.modules.encoders.layer_mix import LayerChoice, LayerMix
from aista.modules.encoders.whisper import WhisperConfig
from aista.modules.encoders.windows import join_windows, split_windows
from aista.modules.hf_folder import build_model
from aista.modules.strided_conv import ceil_divide
from aista.types import zero_padding

__all__ = ["WhisperEncoder", "load_whisper"]


def load_whisper(
    config: WhisperConfig, settings: Any, expected: ExpectedInput, *, with_weights: bool
) -> WhisperEncoder:
    """The encoder of a folder's model; the decoder is dropped."""
    model = build_model(
        AutoModel, config.path, settings, with_weights=with_weights, dtype="float32", attention="sdpa", part="encoder."
    )
    return WhisperEncoder(model.encoder, config.layers, expected)


class WhisperEncoder(SpeechEncoder):
    """See ``aista.modules.encoders.whisper``.

    Args:
        encoder: transformers' encoder, whose modules this one takes over.
        layers: States to give.
        expected: Features that it was trained on.
    """

    positions: Tensor

    def __init__(self, encoder: Any, layers: LayerChoice, expected: ExpectedInput) -> None:
        super().__init__()
        self.expected_input = expected
        self.output_dim = encoder.config.d_model
        self.mix = LayerMix(layers, len(encoder.layers))
        self.dropout: float = encoder.dropout
        self.conv1: nn.Conv1d = encoder.conv1
        self.conv2: nn.Conv1d = encoder.conv2
        self.blocks: nn.ModuleList = encoder.layers[: self.mix.depth]
        self.layer_norm: nn.LayerNorm | None = encoder.layer_norm if self.mix.is_complete else None
        # Fixed sinusoids: as a buffer nobody trains them by mistake.
        self.register_buffer("positions", encoder.embed_positions.weight.detach().clone())
        self.window = 2 * self.positions.size(0)
        self.train()

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer blocks."""
        return self.blocks

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode log-mel features ``[B, F, M]``; see ``SpeechEncoder``."""
        # Nothing lies beyond the longest row.
        windows = split_windows(audio[:, : int(lengths.max())], lengths, self.window)
        h_NSE, state_lengths = self._convolve(windows.frames, windows.lengths)
        h_NSE = h_NSE + self.positions[: h_NSE.size(1)].to(h_NSE.dtype)
        # conv2 tells whether the encoder is frozen: this module is not, where the weights of a sum are trained.
        h_NSE = dropout(h_NSE, self.dropout, self.conv2.training)
        states_NSE = self.mix(self._states(h_NSE, state_lengths))
        return join_windows(states_NSE, state_lengths, windows), self.num_unpooled(lengths)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """``ceil(F / 2)``, in windows too: all but the last have an even number of frames."""
        return self.num_unpooled(lengths)

    def num_unpooled(self, lengths: Tensor) -> Tensor:
        """States of the blocks: ``ceil(F / 2)``."""
        return ceil_divide(lengths, 2)

    def finish(self, h_NSE: Tensor) -> Tensor:
        """What follows the last block."""
        return h_NSE if self.layer_norm is None else self.layer_norm(h_NSE)

    def _convolve(self, x_NFM: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x_NFM = x_NFM.to(self.conv1.weight.dtype)
        h_NFE = gelu(self.conv1(x_NFM.transpose(1, 2))).transpose(1, 2)
        h_NES = gelu(self.conv2(zero_padding(h_NFE, lengths).transpose(1, 2)))
        return h_NES.transpose(1, 2), self.num_unpooled(lengths)

    def _states(self, h_NSE: Tensor, lengths: Tensor) -> Iterator[Tensor]:
        """States of layers 0..depth, one by one."""
        yield h_NSE
        mask_N11S = attention_mask(lengths, h_NSE)
        for number, block in enumerate(self.blocks, 1):
            h_NSE = block(h_NSE, mask_N11S, layer_head_mask=None)[0]
            yield self.finish(h_NSE) if number == len(self.blocks) else h_NSE
