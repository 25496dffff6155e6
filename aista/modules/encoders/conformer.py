"""Conformer encoder over log-mel features, trained from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from fairseq2.models.transformer import (
    SDPA,
    IdentityBias,
    RelativePositionalEncoding,
    RelativePositionSDPA,
    StandardMultiheadAttention,
    create_default_sdpa,
)
from fairseq2.nn import BatchLayout, RotaryEncoder, SinusoidalPositionEncoder
from torch import Tensor, nn
from torch.nn.functional import silu

from aista.modules.conformer_stack import check_block, conformer_stack
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.placement import placement
from aista.modules.strided_conv import StridedConv, ceil_divide, stride_factors
from aista.registry import register
from aista.schema import Options, option

__all__ = ["ConformerConfig", "ConformerEncoder"]


@dataclass(frozen=True, kw_only=True)
class ConformerConfig(Options):
    """Options of the encoder ``conformer``."""

    model_dim: int = option(256, "Width of the states.", minimum=2, maximum=100_000)
    num_layers: int = option(6, "Conformer blocks.", minimum=1, maximum=500)
    num_heads: int = option(4, "Attention heads; must divide model_dim.", minimum=1, maximum=1_000)
    ffn_dim: int = option(1024, "Inner width of the two feed-forward networks of a block.", minimum=1, maximum=100_000)
    subsampling: int = option(4, "Feature frames per encoder frame.", choices=(1, 2, 4, 8))
    subsampling_kernel_size: int = option(3, "Kernel of the subsampling convolutions.", minimum=2, maximum=1_000)
    kernel_size: int = option(15, "Kernel of the depthwise convolutions; odd.", minimum=1, maximum=1_000)
    positions: Literal["relative", "rotary", "sinusoidal"] = option(
        "relative", "Position encoding: Transformer-XL's relative one, rotary, or sinusoids added to the input."
    )
    dropout: float = option(0.1, "Dropout probability in the blocks and after the front-end.", minimum=0, maximum=0.9)
    max_frames: int = option(6000, "Longest utterance in feature frames.", minimum=1, maximum=1_000_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_block(self.model_dim, self.num_heads, self.kernel_size)


@register("encoder", "conformer", config=ConformerConfig)
class ConformerEncoder(SpeechEncoder):
    """Convolutional subsampling and conformer blocks (Gulati et al. 2020), built from fairseq2's modules.

    F feature frames become ``ceil(F / subsampling)`` states. The depthwise convolutions are followed
    by layer norm in place of batch norm, so that a row does not depend on its batch and DDP works on
    CPU. Choose it to train a speech encoder from scratch, with CTC first (task ``ctc_asr``).

    Raises:
        ValueError: the configured features are raw waveforms.
    """

    max_length_option = "max_frames"

    def __init__(self, config: ConformerConfig, *, feature_dim: int) -> None:
        if feature_dim < 1:
            raise ValueError(
                "conformer reads features [B, F, M], but the configured features are raw waveforms (feature_dim 0); "
                "configure log-mel features, or choose an encoder of waveforms such as wav2vec2"
            )
        super().__init__()
        self.output_dim = config.model_dim
        self.length_range = (1, config.max_frames)
        self.stride = config.subsampling
        self.subsampling = _Subsampling(config, feature_dim)
        max_states = -(-config.max_frames // config.subsampling)
        self.positions = (
            SinusoidalPositionEncoder(config.model_dim, max_states) if config.positions == "sinusoidal" else None
        )
        self.dropout = nn.Dropout(config.dropout)
        # One table of relative positions serves all blocks.
        relative = RelativePositionalEncoding(config.model_dim, max_states) if config.positions == "relative" else None
        self.stack = conformer_stack(
            partial(_create_attention, config, max_states, relative),
            num_layers=config.num_layers,
            model_dim=config.model_dim,
            ffn_dim=config.ffn_dim,
            kernel_size=config.kernel_size,
            dropout=config.dropout,
        )

    @property
    def layers(self) -> nn.ModuleList:
        return self.stack.layers

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode features ``[B, F, M]``."""
        h_BSE, lengths = self.subsampling(audio, lengths)
        layout = BatchLayout.of(h_BSE, lengths.tolist())
        if self.positions is not None:
            h_BSE = self.positions(h_BSE, layout)
        return self.stack(self.dropout(h_BSE), layout), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """``ceil(F / subsampling)``."""
        return ceil_divide(lengths, self.stride)


class _Subsampling(nn.Module):
    """Strided convolutions, a layer norm and a projection: ``[B, F, M]`` -> ``[B, ceil(F / stride), E]``."""

    def __init__(self, config: ConformerConfig, feature_dim: int) -> None:
        super().__init__()
        dim, kernel_size = config.model_dim, config.subsampling_kernel_size
        self.convs = nn.ModuleList(
            StridedConv(feature_dim if index == 0 else dim, dim, kernel_size=kernel_size, stride=stride)
            for index, stride in enumerate(stride_factors(config.subsampling))
        )
        self.norm = nn.LayerNorm(dim)
        self.projection = nn.Linear(dim, dim)

    def forward(self, x_BFM: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = x_BFM.to(self.projection.weight.dtype)
        for conv in self.convs:
            x, lengths = conv(x, lengths)
            x = silu(x)
        return self.projection(self.norm(x)), lengths


def _create_attention(
    config: ConformerConfig, max_states: int, relative: RelativePositionalEncoding | None
) -> StandardMultiheadAttention:
    dim, heads = config.model_dim, config.num_heads
    if relative is not None:
        sdpa: SDPA = RelativePositionSDPA(dim, heads, relative, IdentityBias())
        return StandardMultiheadAttention(dim, heads, sdpa, **placement())
    rotary = RotaryEncoder(dim // heads, max_states) if config.positions == "rotary" else None
    sdpa = create_default_sdpa(IdentityBias(), dropout_p=config.dropout)
    return StandardMultiheadAttention(dim, heads, sdpa, pos_encoder=rotary, **placement())
