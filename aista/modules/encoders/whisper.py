"""Whisper's encoder, from a Hugging Face folder or the hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import dropout, gelu
from transformers import AutoModel

from aista.hub import local_folder
from aista.modules.encoders.attention_mask import attention_mask
from aista.modules.encoders.base import ExpectedInput, SpeechEncoder
from aista.modules.encoders.layer_mix import LAYERS_HELP, LayerChoice, LayerMix, layer_states
from aista.modules.encoders.windows import join_windows, split_windows
from aista.modules.hf_folder import build_model, read_config
from aista.modules.strided_conv import ceil_divide
from aista.modules.transformers_versions import states_of
from aista.registry import register
from aista.schema import Options, option, required
from aista.types import zero_padding

__all__ = ["WhisperConfig", "WhisperEncoder", "expect_log_mel", "whisper"]


@dataclass(frozen=True, kw_only=True)
class WhisperConfig(Options):
    """Options of the encoder ``whisper``."""

    path: Path = required(
        "Whisper: a folder with config.json and *.safetensors, or a name on the hub.", pretrained="weights"
    )
    layers: LayerChoice = option("last", LAYERS_HELP)

    def skeleton(self, *, feature_dim: int) -> SpeechEncoder:
        """The encoder from the folder's config.json alone, for weights that are loaded later."""
        return whisper(self, feature_dim=feature_dim, with_weights=False)


@register("encoder", "whisper", config=WhisperConfig)
def whisper(config: WhisperConfig, *, feature_dim: int, with_weights: bool = True) -> SpeechEncoder:
    r"""The encoder of Whisper (Radford et al. 2023, arXiv 2212.04356): F log-mel frames -> ``ceil(F / 2)`` states.

    Clips are encoded at their own length: the position table is cut and padding is masked, so a 5 s clip
    costs a sixth of the 30 s that Whisper's own forward pass requires. Its states differ from those of the clip
    padded with silence, to which attention is paid (docs/encoders.md has figures); where they must be the same,
    set ``pad_to_30s`` of the feature. Longer clips are cut into windows of 30 s without overlap, each is encoded
    alone, and the states are concatenated. Features must be Whisper's own (``whisper_log_mel``).

    Choose it for real speech in the languages it was trained on; freeze it with ``freeze_params: [encoder]``
    (with ``layers: weighted``: ``['encoder\.(?!mix).*']``).

    Raises:
        ValueError: the folder holds no Whisper model in safetensors, or the features have other channels.
    """
    folder = local_folder(config.path, "weights" if with_weights else "config")
    settings = read_config(folder, ("whisper",))
    expected = expect_log_mel(folder, settings.num_mel_bins, feature_dim)
    model = build_model(
        AutoModel, folder, settings, with_weights=with_weights, dtype="float32", attention="sdpa", part="encoder."
    )
    return WhisperEncoder(model.encoder, config.layers, expected)


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


class WhisperEncoder(SpeechEncoder):
    """Whisper's encoder at the clips' own length.

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
        # Fixed sinusoids: a buffer is never trained by mistake.
        self.register_buffer("positions", encoder.embed_positions.weight.detach().clone())
        self.window = 2 * self.positions.size(0)
        self.train()

    @property
    def layers(self) -> nn.ModuleList:
        return self.blocks

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode log-mel features ``[B, F, M]``."""
        # Nothing lies beyond the longest row.
        windows = split_windows(audio[:, : int(lengths.max())], lengths, self.window)
        h_NSE, state_lengths = self._convolve(windows.frames, windows.lengths)
        h_NSE = h_NSE + self.positions[: h_NSE.size(1)].to(h_NSE.dtype)
        # conv2 tells whether the encoder is frozen: this module is not, where the weights of a sum are trained.
        h_NSE = dropout(h_NSE, self.dropout, self.conv2.training)
        mask_N11S = attention_mask(state_lengths, h_NSE)
        states = layer_states(
            h_NSE, self.blocks, lambda block, h: states_of(block(h, mask_N11S, layer_head_mask=None)), self.finish
        )
        states_NSE = self.mix(states)
        return join_windows(states_NSE, state_lengths, windows), self.num_unpooled(lengths)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """``ceil(F / 2)``, in windows too: all but the last have an even number of frames."""
        return self.num_unpooled(lengths)

    def num_unpooled(self, lengths: Tensor) -> Tensor:
        """States of the blocks: ``ceil(F / 2)``."""
        return ceil_divide(lengths, 2)

    def finish(self, h_NSE: Tensor) -> Tensor:
        """Layers after the last block."""
        return h_NSE if self.layer_norm is None else self.layer_norm(h_NSE)

    def _convolve(self, x_NFM: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x_NFM = x_NFM.to(self.conv1.weight.dtype)
        h_NFE = gelu(self.conv1(x_NFM.transpose(1, 2))).transpose(1, 2)
        h_NES = gelu(self.conv2(zero_padding(h_NFE, lengths).transpose(1, 2)))
        return h_NES.transpose(1, 2), self.num_unpooled(lengths)
