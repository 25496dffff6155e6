"""Learned queries that attend to encoder states, shared by both Q-Former adapters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aista.modules.adapters.base import OUTPUT_NORM, block_width
from aista.modules.attention import AttentionBlock
from aista.schema import Options, option

__all__ = ["QFormer", "QFormerOptions"]


@dataclass(frozen=True, kw_only=True)
class QFormerOptions(Options):
    """Options that ``qformer`` and ``window_qformer`` share."""

    model_dim: int | None = option(
        None, "Width of queries and blocks; null for the encoder's width.", minimum=1, maximum=100_000
    )
    num_layers: int = option(
        2, "Blocks of self-attention, cross-attention and feed-forward network.", minimum=1, maximum=500
    )
    num_heads: int = option(8, "Attention heads; must divide the width.", minimum=1, maximum=1_000)
    ffn_dim: int | None = option(
        None,
        "Inner width of the feed-forward networks; null for 4 times the blocks'.",
        minimum=1,
        maximum=100_000,
    )
    dropout: float = option(0.1, "Dropout probability in the blocks.", minimum=0, maximum=0.9)
    output_norm: bool = option(True, OUTPUT_NORM)


class QFormer(nn.Module):
    """``num_queries`` learned vectors that attend to each other and to a memory (Li et al. 2023, BLIP-2)."""

    def __init__(self, options: QFormerOptions, *, num_queries: int, input_dim: int, output_dim: int) -> None:
        super().__init__()
        dim = block_width(options.model_dim, input_dim, options.num_heads)
        self.queries = nn.Parameter(torch.empty(num_queries, dim))
        nn.init.normal_(self.queries, std=dim**-0.5)
        self.memory_norm = nn.LayerNorm(input_dim)
        self.blocks = nn.ModuleList(
            AttentionBlock(
                dim,
                num_heads=options.num_heads,
                ffn_dim=options.ffn_dim,
                memory_dim=input_dim,
                among_itself=num_queries > 1,  # one alone has nothing to attend to
                dropout=options.dropout,
            )
            for _ in range(options.num_layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.projection = nn.Linear(dim, output_dim)

    def forward(self, memory_BSE: Tensor, mask_BS: Tensor) -> Tensor:
        """Read ``[B, S, E]`` states, finite everywhere, where the mask is True: ``[B, num_queries, D]``."""
        memory_BSE = self.memory_norm(memory_BSE)
        x_BQE = self.queries.to(memory_BSE.dtype).expand(memory_BSE.size(0), -1, -1)
        for block in self.blocks:
            x_BQE = block(x_BQE, None, memory_BSE, mask_BS)
        out: Tensor = self.projection(self.norm(x_BQE))
        return out
