"""Places of a batch's words in both modalities, from the word times of the context."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aista.losses.arguments import described, is_readable
from aista.types import LayerStates

__all__ = ["WordPlaces", "word_places"]


class WordPlaces(NamedTuple):
    """The words of B rows; N is the maximum number of words in a row. Values outside ``inside_BN`` are 0.

    Attributes:
        inside_BN: Whether there is a word, all tokens of which are in the transcript, in a row with both sides.
        first_BN: Its first token.
        end_BN: The token after its last.
        start_BN: Its start in the speech, in positions.
        stop_BN: Its end, likewise.
    """

    inside_BN: Tensor
    first_BN: Tensor
    end_BN: Tensor
    start_BN: Tensor
    stop_BN: Tensor

    def tokens(self, num_tokens: int) -> Tensor:
        """``[B, N, T]`` whether a token belongs to a word."""
        token = torch.arange(num_tokens, device=self.first_BN.device)
        return (token >= self.first_BN[..., None]) & (token < self.end_BN[..., None])


def word_places(states: LayerStates, words: Tensor | None, num_rows: int) -> WordPlaces:
    """The words of the first layer's rows.

    Args:
        states: ``checked`` states of both sides, layers folded in.
        words: ``AlignmentContext.words``; None where no row has word times.
        num_rows: B.

    Raises:
        ValueError: ``words`` is not a tensor ``[B, N, 4]``, or (checked on the CPU only) a token number is negative.
    """
    spans = states.speech.new_zeros(num_rows, 1, 4) if words is None else words
    if not isinstance(spans, Tensor) or spans.dim() != 3 or (len(spans), spans.shape[2]) != (num_rows, 4):
        raise ValueError(f"words must be a tensor [{num_rows}, N, 4], got {described(spans)}")
    if is_readable(spans) and bool((spans[..., :2] < 0).any()):
        raise ValueError(f"words must hold token numbers of at least 0, got {spans[..., :2].min():g}")
    first, end = spans[..., :2].long().unbind(-1)
    inside = (end > first) & (end <= states.text_lengths[:num_rows, None]) & states.present[:num_rows, None]
    start, stop = (spans[..., 2:].to(states.speech.dtype) * states.speech_lengths[:num_rows, None, None]).unbind(-1)
    return WordPlaces(inside, *(z.masked_fill(~inside, 0) for z in (first, end, start, stop)))
