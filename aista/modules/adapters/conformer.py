"""Conformer adapter: strided convolutions, then conformer blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from fairseq2.models.transformer import AttentionBiasCache, MultiheadAttention
from fairseq2.nn import BatchLayout, IncrementalStateBag
from torch import Tensor

from aista.modules.adapters.context import ContextAdapter, ContextConfig
from aista.modules.attention import Attention
from aista.modules.conformer_stack import conformer_stack
from aista.registry import register
from aista.schema import option

__all__ = ["ConformerAdapter", "ConformerAdapterConfig"]


@dataclass(frozen=True, kw_only=True)
class ConformerAdapterConfig(ContextConfig):
    """Options of the adapter ``conformer``."""

    kernel_size: int = option(15, "Kernel of the depthwise convolutions; odd.", minimum=1, maximum=1_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {self.kernel_size}")


@register("adapter", "conformer", config=ConformerAdapterConfig)
class ConformerAdapter(ContextAdapter):
    """Strided convolutions, conformer blocks and a projection: n frames -> ``ceil(n / stride)`` positions.

    The blocks are those of Gulati et al. 2020 (arXiv 2005.08100), with rotary positions and layer norm in the
    convolution module. Choose it over ``transformer`` where the encoder is small or far from text: convolutions model
    local context, attention the rest.

    Raises:
        ValueError: the width is not a multiple of ``2 * num_heads``.
    """

    def __init__(self, config: ConformerAdapterConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__(config, input_dim=input_dim, output_dim=output_dim)
        attention = partial(_RotaryAttention, self.model_dim, config.num_heads, config.dropout)
        self.stack = conformer_stack(
            attention,
            num_layers=config.num_layers,
            model_dim=self.model_dim,
            ffn_dim=config.ffn_dim or 4 * self.model_dim,
            kernel_size=config.kernel_size,
            dropout=config.dropout,
        )

    def mix(self, x_BPE: Tensor, lengths: Tensor) -> Tensor:
        """Run the conformer blocks; each ends with a norm."""
        return self.stack(x_BPE, BatchLayout.of(x_BPE, lengths.tolist()))


class _RotaryAttention(MultiheadAttention):
    """Rotary self-attention at any length; fairseq2's tables of positions have a maximum length."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(dim, num_heads, rotary=True, dropout=dropout)

    def forward(
        self,
        seqs: Tensor,
        seqs_layout: BatchLayout,
        keys: Tensor,
        keys_layout: BatchLayout,
        values: Tensor,
        bias_cache: AttentionBiasCache,
        *,
        state_bag: IncrementalStateBag | None = None,
    ) -> Tensor:
        """Attend to the content of ``keys``, which are the values too."""
        attended: Tensor = self.attention(seqs, keys, keys_layout.position_indices >= 0)
        return attended
