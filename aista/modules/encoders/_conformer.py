"""The conformer encoder itself; imports fairseq2."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from fairseq2.models.conformer import ConformerBlock, ConformerConvolution
from fairseq2.models.transformer import (
    SDPA,
    IdentityBias,
    MultiheadAttention,
    RelativePositionalEncoding,
    RelativePositionSDPA,
    StandardFeedForwardNetwork,
    StandardMultiheadAttention,
    StandardTransformerEncoder,
    create_default_sdpa,
)
from fairseq2.nn import BatchLayout, RotaryEncoder, SinusoidalPositionEncoder, StandardLayerNorm
from torch import Tensor, nn
from torch.nn.functional import silu

from aista.modules.encoders.base import SpeechEncoder
from aista.modules.encoders.conformer import ConformerConfig
from aista.modules.placement import placement
from aista.modules.strided_conv import StridedConv, ceil_divide, stride_factors

__all__ = ["ConformerEncoder", "ConvolutionKind", "conformer_block"]


class ConvolutionKind(NamedTuple):
    """What tells one conformer's depthwise convolutions from another's.

    Attributes:
        is_causal: Whether a state sees no later ones in them.
        norm: What follows them. Batch norm makes rows depend on their batch while its statistics are learned.
    """

    is_causal: bool
    norm: Literal["layer", "batch"]


SYMMETRIC = ConvolutionKind(is_causal=False, norm="layer")


class ConformerEncoder(SpeechEncoder):
    """See ``aista.modules.encoders.conformer``."""

    max_length_option = "max_frames"

    def __init__(self, config: ConformerConfig, feature_dim: int) -> None:
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
        self.stack = StandardTransformerEncoder(_create_blocks(config, max_states))

    @property
    def layers(self) -> nn.ModuleList:
        """The conformer blocks."""
        return self.stack.layers

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode features ``[B, F, M]``; see ``SpeechEncoder``."""
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


def _create_blocks(config: ConformerConfig, max_states: int) -> list[ConformerBlock]:
    # One table of relative positions serves all blocks.
    relative = RelativePositionalEncoding(config.model_dim, max_states) if config.positions == "relative" else None
    return [
        conformer_block(
            partial(_create_attention, config, max_states, relative),
            model_dim=config.model_dim,
            ffn_dim=config.ffn_dim,
            kernel_size=config.kernel_size,
            dropout=config.dropout,
        )
        for _ in range(config.num_layers)
    ]


def conformer_block(
    create_attention: Callable[[], MultiheadAttention],
    *,
    model_dim: int,
    ffn_dim: int,
    kernel_size: int,
    dropout: float,
    convolution: ConvolutionKind = SYMMETRIC,
) -> ConformerBlock:
    """A conformer block around an attention.

    The attention is created between the feed-forward networks, so that a seed gives the block its weights.
    """

    def norm() -> StandardLayerNorm:
        return StandardLayerNorm(model_dim, bias=True)

    def ffn() -> StandardFeedForwardNetwork:
        return StandardFeedForwardNetwork(model_dim, ffn_dim, bias=True, inner_activation=nn.SiLU(), **placement())

    return ConformerBlock(
        norm(),
        ffn(),
        norm(),
        create_attention(),
        norm(),
        ConformerConvolution(
            model_dim,
            kernel_size,
            causal_depthwise_conv=convolution.is_causal,
            norm_type="batch_norm" if convolution.norm == "batch" else "layer_norm",
        ),
        norm(),
        ffn(),
        norm(),
        dropout_p=dropout,
    )


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
