"""Batches in which only some rows have audio; the others use their transcript in place of speech."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from aista.modules.adapters.base import AdapterOutput

__all__ = ["speech_or_text", "spread_rows"]


def spread_rows(output: AdapterOutput, rows: Tensor, size: int) -> AdapterOutput:
    """Spread the adapter's output for the ``[S]`` rows with audio over ``size`` rows; others have no positions."""
    terms = tuple(
        term._replace(value=_spread(term.value, rows, size), applies=_spread(term.applies, rows, size))
        for term in output.terms
    )
    positions_BPD, lengths = (_spread(x, rows, size) for x in (output.positions, output.lengths))
    return AdapterOutput(positions_BPD, lengths, terms)


def speech_or_text(
    speech_BPD: Tensor, speech_lengths: Tensor, text_BTD: Tensor, text_lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """The speech of rows that have some and the transcript of the others: ``[B, M, D]`` and their ``[B]`` lengths."""
    size = max(speech_BPD.size(1), text_BTD.size(1))
    speech_BMD, text_BMD = (functional.pad(x, (0, 0, 0, size - x.size(1))) for x in (speech_BPD, text_BTD))
    has_speech_B = speech_lengths > 0
    content_BMD = torch.where(has_speech_B[:, None, None], speech_BMD, text_BMD.to(speech_BMD.dtype))
    return content_BMD, torch.where(has_speech_B, speech_lengths, text_lengths)


def _spread(x: Tensor, rows: Tensor, size: int) -> Tensor:
    return x.new_zeros(size, *x.shape[1:]).index_copy(0, rows, x)
