"""Cross-entropy of the positive among the candidates, and which rows may be negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from aista.losses.base import AlignmentContext
from aista.losses.processes import process_rank
from aista.types import length_mask

__all__ = ["contrast", "rows_per_layer", "same_key", "transcript_keys"]


def contrast(logits: Tensor, is_candidate: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """``-log softmax`` of each anchor's positive.

    Args:
        logits: ``[..., A, C]`` similarities over the temperature.
        is_candidate: ``[A, C]``; the positive always counts.
        positive: ``[A]`` index of the right candidate.

    Returns:
        ``[..., A]`` loss, and whether the positive is the best.
    """
    is_positive = torch.arange(logits.shape[-1], device=positive.device) == positive[:, None]
    logp = logits.masked_fill(~(is_candidate | is_positive), -torch.inf).log_softmax(-1)
    index = positive.expand(logp.shape[:-1])[..., None]
    return -logp.gather(-1, index).squeeze(-1), logp.detach().argmax(-1) == positive


def rows_per_layer(num_rows: int, context: AlignmentContext) -> int:
    """B, given that the states hold ``L * B`` rows.

    Raises:
        ValueError: the number of rows or transcripts does not fit.
    """
    rows, rest = divmod(num_rows, context.num_layers)
    if rest:
        raise ValueError(f"states must hold L blocks of rows, got {num_rows} rows and L = {context.num_layers} layers")
    if context.transcripts is not None and len(context.transcripts) != rows:
        raise ValueError(f"transcripts must hold one row per utterance, {rows}, got {len(context.transcripts)}")
    return rows


def transcript_keys(transcripts: Tensor | None, lengths: Tensor) -> Tensor:
    """``[B, T]`` numbers that identify transcripts: ids + 1, then zeros.

    Without transcripts all rows differ, those of other processes too.
    """
    if transcripts is None:
        number = torch.arange(1, len(lengths) + 1, device=lengths.device)
        return torch.stack([torch.full_like(number, process_rank() + 1), number], dim=1)
    return (transcripts + 1).masked_fill(~length_mask(lengths, transcripts.shape[1]), 0)


def same_key(keys_AT: Tensor, keys_CT: Tensor) -> Tensor:
    """``[A, C]`` whether two rows have the same transcript; the two widths may differ."""
    width = min(keys_AT.shape[1], keys_CT.shape[1])
    same = (keys_AT[:, None, :width] == keys_CT[None, :, :width]).all(-1)
    return same & ~keys_AT[:, None, width:].any(-1) & ~keys_CT[None, :, width:].any(-1)
