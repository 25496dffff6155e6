"""Cross-entropy of the positive among the candidates, and the choice of negatives by transcript."""

from __future__ import annotations

import torch
from torch import Tensor

from aista.losses.arguments import check_devices, described, is_integer, is_readable
from aista.losses.base import AlignmentContext
from aista.types import LayerStates, length_mask

__all__ = ["contrast", "same_key", "transcript_keys", "transcripts_of"]


def contrast(logits: Tensor, is_candidate: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Compute ``-log softmax`` of each anchor's positive.

    Args:
        logits: ``[..., A, C]`` similarities over the temperature.
        is_candidate: ``[A, C]``; the positive always counts.
        positive: ``[A]`` index of the right candidate.

    Returns:
        ``[..., A]`` loss, and whether the positive is the best.
    """
    if not logits.shape[-1]:  # no candidates, and so no anchors
        return logits.sum(-1), logits.new_zeros(logits.shape[:-1], dtype=torch.bool)
    is_positive = torch.arange(logits.shape[-1], device=positive.device) == positive[:, None]
    logp = logits.masked_fill(~(is_candidate | is_positive), -torch.inf).log_softmax(-1)
    index = positive.expand(logp.shape[:-1])[..., None]
    return -logp.gather(-1, index).squeeze(-1), logp.detach().argmax(-1) == positive


def transcripts_of(states: LayerStates, context: AlignmentContext) -> Tensor:
    """``[B, T]`` token ids of the rows' transcripts, checked against states of ``L * B`` rows.

    Raises:
        ValueError: there are none, or the number of layers, of rows or (read on the CPU alone) of tokens does not fit.
    """
    num_layers, transcripts = context.num_layers, context.transcripts
    if not isinstance(num_layers, int) or num_layers < 1:
        raise ValueError(f"num_layers must be a whole number of at least 1, got {num_layers!r}")
    rows, rest = divmod(len(states.speech), num_layers)
    if rest:
        raise ValueError(
            f"states must hold L blocks of rows, got {len(states.speech)} rows and L = {num_layers} layers"
        )
    if transcripts is None or not is_integer(transcripts) or transcripts.dim() != 2:
        raise ValueError(f"transcripts must be token ids [B, T] in the loss's context, got {described(transcripts)}")
    if len(transcripts) != rows:
        raise ValueError(f"transcripts must hold one row per utterance, {rows}, got {len(transcripts)}")
    check_devices(speech=states.speech, transcripts=transcripts)
    lengths = states.text_lengths
    if is_readable(lengths) and lengths.numel() and int(lengths.max()) > transcripts.shape[1]:
        raise ValueError(
            f"transcripts must hold the {int(lengths.max())} tokens that text_lengths says, got {transcripts.shape[1]}"
        )
    return transcripts


def transcript_keys(transcripts: Tensor, lengths: Tensor) -> Tensor:
    """``[B, T]`` numbers that identify transcripts: ids + 1, then zeros."""
    return (transcripts + 1).masked_fill(~length_mask(lengths, transcripts.shape[1]), 0)


def same_key(keys_AT: Tensor, keys_CT: Tensor) -> Tensor:
    """``[A, C]`` whether two rows have the same transcript; the two widths may differ."""
    width = min(keys_AT.shape[1], keys_CT.shape[1])
    same = (keys_AT[:, None, :width] == keys_CT[None, :, :width]).all(-1)
    return same & ~keys_AT[:, None, width:].any(-1) & ~keys_CT[None, :, width:].any(-1)
