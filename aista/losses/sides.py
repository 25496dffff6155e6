"""Shared helpers of the alignment losses: checked states, means over content, and results.

B: rows (layers folded in); P: speech positions; T: text positions; D: width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aista.losses.arguments import check_devices, check_lengths, check_states, is_readable, read_lengths
from aista.losses.base import AlignmentResult
from aista.losses.costs import working_dtype
from aista.types import LayerStates, zero_padding

__all__ = ["POOLINGS", "checked", "row_mean", "row_result", "sides"]

POOLINGS = ("mean", "max")


def checked(states: LayerStates, *, detach_text: bool) -> LayerStates:
    """The states as given, the text side detached if it is a fixed target.

    Raises:
        ValueError: a field's type, shape or device does not fit, or (on the CPU, where reading is free) a length is
            out of range.
    """
    speech, text = states.speech, states.text
    for name, side in (("speech", speech), ("text", text)):
        check_states(name, side, "[B, length, D]")
    agree = speech.dim() == text.dim() == 3 and speech.shape[0] == text.shape[0] and speech.shape[2] == text.shape[2]
    if not agree:
        raise ValueError(
            f"states must be [B, P, D] and [B, T, D] with the same B and D, got {list(speech.shape)} for speech "
            f"and {list(text.shape)} for text"
        )
    for name, side in (("speech_lengths", speech), ("text_lengths", text)):
        lengths = getattr(states, name)
        check_lengths(name, lengths, side.shape[:1])
        if is_readable(lengths):
            read_lengths(name, lengths, side.shape[:1], side.shape[1])
    check_devices(**states._asdict())
    return states._replace(text=text.detach() if detach_text else text)


def sides(states: LayerStates, *, detach_text: bool) -> LayerStates:
    """The states, ``checked``, in fp32 (fp64 if given) and zero in the padding, which then has no gradient."""
    states = checked(states, detach_text=detach_text)
    dtype = working_dtype(states.speech, states.text)
    speech = zero_padding(states.speech.to(dtype), states.speech_lengths)
    return states._replace(speech=speech, text=zero_padding(states.text.to(dtype), states.text_lengths))


def row_mean(values: Tensor, lengths: Tensor) -> Tensor:
    """``[B, N]`` -> ``[B]`` mean over the content, which must be finite in the padding too; 0 for empty rows."""
    return zero_padding(values, lengths).sum(1) / lengths.clamp_min(1)


def row_result(values_B: Tensor, present_B: Tensor, **diagnostics_B: Tensor) -> AlignmentResult:
    """Zero the rows that lack a side, and average the diagnostics over the others; 0 if there is none."""
    count = present_B.sum().clamp_min(1)
    means = {
        name: torch.where(present_B, values.detach(), 0).sum(dtype=torch.float32) / count
        for name, values in diagnostics_B.items()
    }
    return AlignmentResult(torch.where(present_B, values_B, 0).float(), means)
