"""Base of adapters that shorten by convolutions, then contextualise the positions by blocks."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from aista.modules.adapters.base import OUTPUT_NORM, NormedAdapter, block_width
from aista.modules.adapters.conv import ConvAdapter, ConvConfig
from aista.modules.strided_conv import stride_factors
from aista.schema import Options, option

__all__ = ["ContextAdapter", "ContextConfig"]


@dataclass(frozen=True, kw_only=True)
class ContextConfig(Options):
    """Options that ``transformer`` and ``conformer`` share."""

    stride: int = option(
        4, "Encoder frames per LLM position: a power of two; 1 keeps all frames.", minimum=1, maximum=1_000
    )
    stride_kernel_size: int = option(3, "Kernel of the strided convolutions.", minimum=2, maximum=1_000)
    model_dim: int | None = option(
        None, "Width of the blocks; null for the encoder's width.", minimum=2, maximum=100_000
    )
    num_layers: int = option(2, "Blocks.", minimum=1, maximum=500)
    num_heads: int = option(8, "Attention heads; twice as many must divide the width.", minimum=1, maximum=1_000)
    ffn_dim: int | None = option(
        None,
        "Inner width of the feed-forward networks; null for 4 times the blocks'.",
        minimum=1,
        maximum=100_000,
    )
    dropout: float = option(0.1, "Dropout probability in the convolutions and blocks.", minimum=0, maximum=0.9)
    output_norm: bool = option(True, OUTPUT_NORM)

    def __post_init__(self) -> None:
        super().__post_init__()
        stride_factors(self.stride)


class ContextAdapter(NormedAdapter):
    """Strided convolutions, then blocks that mix the positions of a row, then a projection."""

    def __init__(self, config: ContextConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__(output_dim, config.output_norm)
        self.model_dim = block_width(config.model_dim, input_dim, config.num_heads, per_head=2)
        reduction = ConvConfig(
            stride=config.stride,
            kernel_size=config.stride_kernel_size,
            hidden_dim=self.model_dim,
            dropout=config.dropout,
            output_norm=False,
        )
        self.reduction = ConvAdapter(reduction, input_dim=input_dim, output_dim=self.model_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.projection = nn.Linear(self.model_dim, output_dim)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x_BPE, lengths = self.reduction(states, lengths)
        return self.normalize(self.projection(self.mix(self.dropout(x_BPE), lengths))), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """``ceil(n / stride)``."""
        return self.reduction.output_lengths(lengths)

    @abstractmethod
    def mix(self, x_BPE: Tensor, lengths: Tensor) -> Tensor:
        """Run the blocks without reading beyond the ``[B]`` lengths."""
