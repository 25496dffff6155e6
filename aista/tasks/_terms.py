"""Between the model's output and the losses of ``speech_translation``."""

from __future__ import annotations

import torch
from torch import Tensor

from aista.errors import Fault
from aista.losses.base import AlignmentContext, AlignmentLoss, apply
from aista.modules.packing import Divergence
from aista.types import LayerStates, LsmOutput

__all__ = ["adapter_terms", "as_divergence", "fold_layers", "uneven_adapter"]


def uneven_adapter(adapter: str) -> Fault:
    """What is wrong with an adapter behind which nobody knows where a word is."""
    problem = f"positions of {adapter!r} are not even in time, but an alignment loss compares words by their times"
    return Fault("adapter", problem, "choose conv, frame_stack or another that keeps time, or another loss")


def adapter_terms(out: LsmOutput, metrics: dict[str, tuple[Tensor, float]]) -> Tensor:
    """The adapter's own losses, weighted by target tokens as the alignment is."""
    total = out.nll.new_zeros(())
    for term in out.terms:
        total = total + term.weight * (term.value @ out.num_targets.to(term.value.dtype))
        num_rows = float(term.applies.sum())
        if num_rows:
            metrics[f"adapter_{term.name}"] = (term.value.detach().sum() / num_rows, num_rows)
    return total


def fold_layers(out: LsmOutput) -> LayerStates:
    """All captured layers as one batch of ``L * B`` rows, so that a solver's iterations serve them together."""
    speech_lengths, text_lengths = (
        lengths.repeat(len(out.speech)) for lengths in (out.speech_lengths, out.text_lengths)
    )
    return LayerStates(torch.cat(out.speech), speech_lengths, torch.cat(out.text), text_lengths)


def as_divergence(loss: AlignmentLoss, *, detach_text: bool) -> Divergence:
    """The loss as a comparison of ``[K, V]`` logits: each target token is a row of length 1."""

    def compare(speech_KV: Tensor, text_KV: Tensor) -> Tensor:
        ones = torch.ones(len(speech_KV), dtype=torch.long, device=speech_KV.device)
        states = LayerStates(speech_KV[:, None], ones, text_KV[:, None], ones)
        return apply(loss, states, AlignmentContext(), detach_text=detach_text).per_utterance_B

    return compare
