"""Frame-stacking adapter: neighbouring frames side by side, then a projection."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from aista.modules.adapters.base import OUTPUT_NORM, NormedAdapter
from aista.modules.strided_conv import ceil_divide
from aista.registry import register
from aista.schema import Options, option
from aista.types import zero_padding

__all__ = ["FrameStackAdapter", "FrameStackConfig", "stack_frames"]


@dataclass(frozen=True, kw_only=True)
class FrameStackConfig(Options):
    """Options of the adapter ``frame_stack``."""

    stride: int = option(4, "Frames stacked into one LLM position.", minimum=1, maximum=1_000)
    hidden_dim: int | None = option(
        None, "Width between two projections; null for a single one.", minimum=1, maximum=100_000
    )
    dropout: float = option(0.0, "Dropout probability before the last projection.", minimum=0, maximum=0.9)
    output_norm: bool = option(True, OUTPUT_NORM)


@register("adapter", "frame_stack", config=FrameStackConfig)
class FrameStackAdapter(NormedAdapter):
    """Concatenate ``stride`` frames and project them: n frames -> ``ceil(n / stride)`` positions.

    The last group is filled up with zeros. With ``hidden_dim`` a GELU and a second projection follow,
    as in SLAM-ASR (Ma et al. 2024). Choose it for large encoders whose states are already contextual:
    it mixes no information across groups and costs one matrix product.
    """

    def __init__(self, config: FrameStackConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__(output_dim, config.output_norm)
        self.stride = config.stride
        width = config.stride * input_dim
        self.inner = None if config.hidden_dim is None else nn.Linear(width, config.hidden_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.projection = nn.Linear(config.hidden_dim or width, output_dim)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        h_BPK = stack_frames(states.to(self.projection.weight.dtype), lengths, self.stride)
        if self.inner is not None:
            h_BPK = gelu(self.inner(h_BPK))
        return self.normalize(self.projection(self.dropout(h_BPK))), self.output_lengths(lengths)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """``ceil(n / stride)``."""
        return ceil_divide(lengths, self.stride)


def stack_frames(x_BSE: Tensor, lengths: Tensor, stride: int) -> Tensor:
    """``[B, S, E]`` -> ``[B, ceil(S / stride), stride * E]``, with zeros behind each row's last frame."""
    x_BSE = zero_padding(x_BSE, lengths)
    x_BSE = pad(x_BSE, (0, 0, 0, -x_BSE.size(1) % stride))
    return x_BSE.reshape(x_BSE.size(0), x_BSE.size(1) // stride, stride * x_BSE.size(2))
