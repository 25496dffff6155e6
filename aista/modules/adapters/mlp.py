"""MLP adapter: two projections, no shortening."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from aista.modules.adapters.base import OUTPUT_NORM, NormedAdapter
from aista.registry import register
from aista.schema import Options, option
from aista.types import zero_padding

__all__ = ["MlpAdapter", "MlpConfig"]


@dataclass(frozen=True, kw_only=True)
class MlpConfig(Options):
    """Options of the adapter ``mlp``."""

    hidden_dim: int | None = option(
        None, "Width between the projections; null for the LLM's width.", minimum=1, maximum=100_000
    )
    dropout: float = option(0.0, "Dropout probability between the projections.", minimum=0, maximum=0.9)
    output_norm: bool = option(True, OUTPUT_NORM)


@register("adapter", "mlp", config=MlpConfig)
class MlpAdapter(NormedAdapter):
    """Two-layer MLP, ``x = norm(W2 dropout(gelu(W1 h + b1)) + b2)``: n frames -> n positions.

    Choose it where the encoder already gives few frames and is frozen, so that only the adapter can map its
    states to the LLM's space.
    """

    def __init__(self, config: MlpConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__(output_dim, config.output_norm)
        hidden_dim = config.hidden_dim or output_dim
        self.inner = nn.Linear(input_dim, hidden_dim)
        self.outer = nn.Linear(hidden_dim, output_dim)
        self.transform = nn.Sequential(self.inner, nn.GELU(), nn.Dropout(config.dropout), self.outer)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, S, E]`` -> ``[B, S, D]``; lengths stay."""
        h_BSE = zero_padding(states, lengths).to(self.inner.weight.dtype)
        return self.normalize(self.transform(h_BSE)), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return lengths
