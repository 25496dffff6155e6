"""Base of adapters whose positions follow the content instead of time, so that their number depends on it."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from aista.modules.adapters.base import NormedAdapter
from aista.types import RowTerm

__all__ = ["ContentAdapter", "content_terms"]


class ContentAdapter(NormedAdapter):
    """A position is a weighted mean of frames, projected; a subclass implements ``adapt``.

    ``output_lengths`` is an upper bound: no frame gives more than one position.
    """

    exact_lengths: ClassVar[bool] = False
    dropout: nn.Dropout
    projection: nn.Linear

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.adapt(states, lengths)[:2]

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return lengths

    def collect(self, weight_BPS: Tensor, h_BSE: Tensor) -> Tensor:
        """``[B, P, D]`` positions from the weights of the frames in each."""
        return self.normalize(self.projection(self.dropout(weight_BPS.to(h_BSE.dtype) @ h_BSE)))


def content_terms(frames: Tensor, positions: Tensor, is_short: Tensor, has_transcript: Tensor) -> tuple[RowTerm, ...]:
    """Terms to log: the ratio of shortening, and transcripts that are longer than their speech.

    Args:
        frames: ``[B]`` lengths of the encoder's states.
        positions: ``[B]`` lengths in the LLM.
        is_short: ``[B]`` whether the row has too few frames for its transcript.
        has_transcript: ``[B]``.
    """
    return (
        RowTerm("positions_per_frame", 0.0, (positions / frames).float(), frames > 0),
        RowTerm("too_few_frames", 0.0, (is_short & has_transcript).float(), has_transcript),
    )
