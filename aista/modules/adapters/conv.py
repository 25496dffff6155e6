"""Convolutional adapter: strided convolutions over time, then a projection."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import gelu

from aista.modules.adapters.base import OUTPUT_NORM, NormedAdapter
from aista.modules.strided_conv import StridedConv, ceil_divide, stride_factors
from aista.registry import register
from aista.schema import Options, option

__all__ = ["ConvAdapter", "ConvConfig"]


@dataclass(frozen=True, kw_only=True)
class ConvConfig(Options):
    """Options of the adapter ``conv``."""

    stride: int | tuple[int, ...] = option(
        4,
        "Encoder frames per LLM position: a power of two, or the stride of each convolution.",
        minimum=1,
        maximum=1_000,
    )
    kernel_size: int = option(3, "Kernel of each convolution; at least its stride.", minimum=1, maximum=1_000)
    hidden_dim: int | None = option(
        None, "Channels of the convolutions; null for the encoder's width.", minimum=1, maximum=100_000
    )
    dropout: float = option(0.0, "Dropout probability after each convolution.", minimum=0, maximum=0.9)
    output_norm: bool = option(True, OUTPUT_NORM)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.strides:
            raise ValueError("stride must name at least one convolution, got an empty list")
        largest = max(self.strides)
        if largest > self.kernel_size:
            raise ValueError(
                f"kernel_size must be at least every stride, else frames are skipped: {self.kernel_size} < {largest}"
            )

    @property
    def strides(self) -> tuple[int, ...]:
        """The stride of each convolution."""
        return stride_factors(self.stride) if isinstance(self.stride, int) else self.stride


@register("adapter", "conv", config=ConvConfig)
class ConvAdapter(NormedAdapter):
    """Convolutions with layer norm and GELU, then a projection: n frames -> ``ceil(n / stride)`` positions.

    With a list of strides the ceiling is taken at each convolution. Choose it by default: it shortens
    speech towards the length of text and sees the neighbouring frames.
    """

    def __init__(self, config: ConvConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__(output_dim, config.output_norm)
        self.strides = config.strides
        hidden_dim = config.hidden_dim or input_dim
        self.convs = nn.ModuleList(
            StridedConv(
                input_dim if index == 0 else hidden_dim, hidden_dim, kernel_size=config.kernel_size, stride=stride
            )
            for index, stride in enumerate(config.strides)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim) for _ in config.strides)
        self.dropout = nn.Dropout(config.dropout)
        self.projection = nn.Linear(hidden_dim, output_dim)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        h_BSE = states.to(self.projection.weight.dtype)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h_BSE, lengths = conv(h_BSE, lengths)
            h_BSE = self.dropout(gelu(norm(h_BSE)))
        return self.normalize(self.projection(h_BSE)), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """``ceil(n / stride)`` at each convolution."""
        for stride in self.strides:
            lengths = ceil_divide(lengths, stride)
        return lengths
