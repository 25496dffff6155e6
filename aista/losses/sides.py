"""What the alignment losses share: both sides without padding, pooling, and the result's form.

B: rows (layers folded in); P: speech positions; T: text positions; D: width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from aista.losses.base import AlignmentResult
from aista.losses.solvers.pairwise import working_dtype
from aista.types import LayerStates, length_mask

__all__ = ["POOLINGS", "Sides", "pool", "row_mean", "row_result", "sides"]

POOLINGS = ("mean", "max")


class Sides(NamedTuple):
    """Both modalities in fp32 (fp64 if given), with zeros in the padding.

    Attributes:
        speech: ``[B, P, D]``.
        text: ``[B, T, D]``, detached where it is a fixed target.
        speech_lengths: ``[B]``.
        text_lengths: ``[B]``.
        present: ``[B]`` whether a row has both sides.
    """

    speech: Tensor
    text: Tensor
    speech_lengths: Tensor
    text_lengths: Tensor
    present: Tensor


def sides(states: LayerStates, *, detach_text: bool) -> Sides:
    """Check the states and clear their padding; its gradient is zero from here on.

    Raises:
        ValueError: the shapes of the two sides do not fit together.
    """
    speech, text = states.speech, states.text
    agree = speech.dim() == text.dim() == 3 and speech.shape[0] == text.shape[0] and speech.shape[2] == text.shape[2]
    if not agree:
        raise ValueError(
            f"states must be [B, P, D] and [B, T, D] with the same B and D, got {list(speech.shape)} for speech "
            f"and {list(text.shape)} for text"
        )
    dtype = working_dtype(speech, text)
    speech = speech.to(dtype).masked_fill(~length_mask(states.speech_lengths, speech.shape[1])[..., None], 0)
    text = (text.detach() if detach_text else text).to(dtype)
    text = text.masked_fill(~length_mask(states.text_lengths, text.shape[1])[..., None], 0)
    present = (states.speech_lengths > 0) & (states.text_lengths > 0)
    return Sides(speech, text, states.speech_lengths, states.text_lengths, present)


def pool(states: Tensor, lengths: Tensor, how: str) -> Tensor:
    """``[B, N, D]`` with zeros in the padding -> the ``[B, D]`` mean or maximum over the content; 0 for empty rows."""
    if how == "mean":
        return states.sum(1) / lengths.clamp_min(1)[:, None]
    states = states if states.shape[1] else functional.pad(states, (0, 0, 0, 1))
    inside = length_mask(lengths, states.shape[1])[..., None]
    return states.masked_fill(~inside, -torch.inf).amax(1).masked_fill(lengths[:, None] == 0, 0)


def row_mean(values: Tensor, lengths: Tensor) -> Tensor:
    """``[B, N]`` -> ``[B]`` mean over the content, which must be finite in the padding too; 0 for empty rows."""
    inside = length_mask(lengths, values.shape[1])
    return values.masked_fill(~inside, 0).sum(1) / lengths.clamp_min(1)


def row_result(values_B: Tensor, present_B: Tensor, **diagnostics_B: Tensor) -> AlignmentResult:
    """Zero the rows that lack a side, and average the diagnostics over the others; 0 if there is none."""
    count = present_B.sum().clamp_min(1)
    means = {
        name: torch.where(present_B, values.detach(), 0).sum(dtype=torch.float32) / count
        for name, values in diagnostics_B.items()
    }
    return AlignmentResult(torch.where(present_B, values_B, 0).float(), means)
