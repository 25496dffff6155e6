"""Transformer adapter: strided convolutions, then self-attention blocks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from aista.modules.adapters.context import ContextAdapter, ContextConfig
from aista.modules.attention import AttentionBlock
from aista.registry import register
from aista.types import length_mask

__all__ = ["TransformerAdapter", "TransformerConfig"]


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(ContextConfig):
    """Options of the adapter ``transformer``."""


@register("adapter", "transformer", config=TransformerConfig)
class TransformerAdapter(ContextAdapter):
    """Strided convolutions, pre-norm self-attention and a projection: n frames -> ``ceil(n / stride)`` positions.

    The blocks are those of Vaswani et al. 2017 (arXiv 1706.03762) with rotary positions. Choose it for a frozen
    encoder, where ``conv`` has too little context to form word-like states.

    Raises:
        ValueError: the width is not a multiple of ``2 * num_heads``.
    """

    def __init__(self, config: TransformerConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__(config, input_dim=input_dim, output_dim=output_dim)
        self.blocks = nn.ModuleList(
            AttentionBlock(
                self.model_dim,
                num_heads=config.num_heads,
                ffn_dim=config.ffn_dim,
                rotary=True,
                dropout=config.dropout,
            )
            for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(self.model_dim)

    def mix(self, x_BPE: Tensor, lengths: Tensor) -> Tensor:
        mask_BP = length_mask(lengths, x_BPE.size(1))
        for block in self.blocks:
            x_BPE = block(x_BPE, mask_BP)
        normed: Tensor = self.norm(x_BPE)
        return normed
