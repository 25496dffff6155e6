"""What is logged of adapters whose lengths depend on the states."""

from __future__ import annotations

from torch import Tensor

from aista.types import RowTerm

__all__ = ["content_terms"]


def content_terms(frames: Tensor, positions: Tensor, is_short: Tensor, has_transcript: Tensor) -> tuple[RowTerm, ...]:
    """Terms of weight 0: how much speech is shortened, and transcripts longer than their speech.

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
