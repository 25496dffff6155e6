"""Stacks of conformer blocks of fairseq2's modules, shared by encoders and adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fairseq2.models.conformer import ConformerBlock, ConformerConvolution
from fairseq2.models.transformer import MultiheadAttention, StandardFeedForwardNetwork, StandardTransformerEncoder
from fairseq2.nn import StandardLayerNorm
from torch import nn

from aista.modules.placement import placement

__all__ = ["check_block", "conformer_stack"]


def check_block(model_dim: int, num_heads: int, kernel_size: int) -> None:
    """Raise ValueError where no conformer block has these sizes."""
    if model_dim % (2 * num_heads):
        raise ValueError(f"model_dim must be a multiple of 2 * num_heads, got {model_dim} with {num_heads} heads")
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd, got {kernel_size}")


def conformer_stack(
    create_attention: Callable[[], MultiheadAttention],
    *,
    num_layers: int,
    model_dim: int,
    ffn_dim: int,
    kernel_size: int,
    dropout: float,
    causal_conv: bool = False,
    conv_norm: Literal["layer", "batch"] = "layer",
) -> StandardTransformerEncoder:
    """Build conformer blocks, each with its own attention.

    The attention is created between the feed-forward networks, so that a seed gives the block its weights. Batch norm
    behind the depthwise convolutions makes rows depend on their batch while its statistics are learned.
    """

    def norm() -> StandardLayerNorm:
        return StandardLayerNorm(model_dim, bias=True)

    def ffn() -> StandardFeedForwardNetwork:
        return StandardFeedForwardNetwork(model_dim, ffn_dim, bias=True, inner_activation=nn.SiLU(), **placement())

    def block() -> ConformerBlock:
        return ConformerBlock(
            norm(),
            ffn(),
            norm(),
            create_attention(),
            norm(),
            ConformerConvolution(
                model_dim,
                kernel_size,
                causal_depthwise_conv=causal_conv,
                norm_type="batch_norm" if conv_norm == "batch" else "layer_norm",
            ),
            norm(),
            ffn(),
            norm(),
            dropout_p=dropout,
        )

    return StandardTransformerEncoder([block() for _ in range(num_layers)])
