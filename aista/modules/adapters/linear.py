"""Linear adapter: one projection, no shortening."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from aista.modules.adapters.base import OUTPUT_NORM, NormedAdapter
from aista.registry import register
from aista.schema import Options, option
from aista.types import zero_padding

__all__ = ["LinearAdapter", "LinearConfig"]


@dataclass(frozen=True, kw_only=True)
class LinearConfig(Options):
    """Options of the adapter ``linear``."""

    dropout: float = option(0.0, "Dropout probability on the encoder states.", minimum=0, maximum=0.9)
    output_norm: bool = option(True, OUTPUT_NORM)


@register("adapter", "linear", config=LinearConfig)
class LinearAdapter(NormedAdapter):
    """One linear projection, ``x = norm(W dropout(h) + b)``: n frames -> n positions.

    Choose it as the smallest baseline, or where the encoder already gives few frames.
    """

    def __init__(self, config: LinearConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__(output_dim, config.output_norm)
        self.dropout = nn.Dropout(config.dropout)
        self.projection = nn.Linear(input_dim, output_dim)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, S, E]`` -> ``[B, S, D]``; lengths stay."""
        h_BSE = zero_padding(states, lengths).to(self.projection.weight.dtype)
        return self.normalize(self.projection(self.dropout(h_BSE))), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return lengths
