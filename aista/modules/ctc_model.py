"""CTC: a speech encoder with a CTC head and greedy decoding, and the loss on padded batches."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss

from aista.errors import DataError
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.freezing import FrozenInEval
from aista.modules.generation import evaluating
from aista.types import zero_padding

__all__ = ["CtcModel", "CtcOutput", "ctc_nll", "min_frames"]


class CtcOutput(NamedTuple):
    """Result of one forward pass of ``CtcModel`` (a pytree, so that FSDP2 can hook it).

    Attributes:
        nll: ``[B]`` CTC negative log-likelihood of each transcript, fp32, nats; 0 for rows left out.
        num_targets: ``[B]`` tokens that ``nll`` covers; 0 for rows left out.
        num_infeasible: Scalar; rows left out because their transcript needs more frames than they have.
        logits: ``[B, S, V + 1]``, the blank last.
        lengths: ``[B]`` frames.
    """

    nll: Tensor
    num_targets: Tensor
    num_infeasible: Tensor
    logits: Tensor
    lengths: Tensor


class CtcModel(FrozenInEval):
    """A speech encoder with a linear CTC head over V tokens and the blank, whose id is V.

    Connectionist temporal classification (Graves et al. 2006). Choose it to pretrain an encoder on recognition before
    joint training with an LLM.
    """

    def __init__(self, encoder: SpeechEncoder, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.encoder = encoder
        self.head = nn.Linear(encoder.output_dim, vocab_size + 1)

    def forward(
        self,
        audio: Tensor,
        audio_lengths: Tensor,
        source: Tensor,
        source_lengths: Tensor,
        *,
        encoded: bool = False,
    ) -> CtcOutput:
        """Encode a batch and score its transcripts.

        Args:
            audio: ``[B, W]`` or ``[B, F, M]``, as the encoder takes it; ``[B, S, E]`` states where ``encoded``.
            audio_lengths: ``[B]``.
            source: ``[B, T]`` transcript ids in 0..V-1.
            source_lengths: ``[B]``; 0 where a row has no transcript: it gives loss 0.
            encoded: Whether ``audio`` holds the encoder's states; the encoder is not run then.

        Raises:
            DataError: a transcript id is outside 0..V-1.
        """
        logits_BSV, lengths = self._logits(audio, audio_lengths, encoded)
        nll, num_targets, is_feasible = ctc_nll(logits_BSV, lengths, source, source_lengths)
        return CtcOutput(nll, num_targets, (~is_feasible).sum(), logits_BSV, lengths)

    def greedy(self, audio: Tensor, audio_lengths: Tensor, *, encoded: bool = False) -> list[list[int]]:
        """Best token of each frame, repeats merged, blanks dropped; runs in eval mode and restores the mode."""
        with evaluating(self):
            logits_BSV, lengths = self._logits(audio, audio_lengths, encoded)
        rows = zip(logits_BSV.argmax(-1).tolist(), lengths.tolist(), strict=True)
        return [[token for token, _ in groupby(path[:length]) if token != self.vocab_size] for path, length in rows]

    def log_probs(self, audio: Tensor, audio_lengths: Tensor, *, encoded: bool = False) -> tuple[Tensor, Tensor]:
        """``[B, S, V + 1]`` log-probabilities of each frame, fp32, the blank last, and ``[B]`` frames; in eval mode."""
        with evaluating(self):
            logits_BSV, lengths = self._logits(audio, audio_lengths, encoded)
            return logits_BSV.float().log_softmax(-1), lengths

    def _logits(self, audio: Tensor, lengths: Tensor, encoded: bool) -> tuple[Tensor, Tensor]:
        h_BSE, lengths = (audio, lengths) if encoded else self.encoder(audio, lengths)
        h_BSE = zero_padding(h_BSE, lengths).to(self.head.weight.dtype)
        return self.head(h_BSE), lengths


def ctc_nll(logits: Tensor, lengths: Tensor, source: Tensor, source_lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """CTC negative log-likelihood of transcripts; the blank is the last id.

    Args:
        logits: ``[B, S, V + 1]``.
        lengths: ``[B]`` frames.
        source: ``[B, T]`` transcript ids in 0..V-1.
        source_lengths: ``[B]``; 0 where a row has no transcript.

    Returns:
        ``[B]`` nats in fp32, 0 where nothing counts; ``[B]`` tokens that count: none in rows whose transcript
        needs more frames than there are; ``[B]`` whether it does not.

    Raises:
        DataError: a transcript id is outside 0..V-1.
    """
    blank = logits.size(-1) - 1
    source = zero_padding(source, source_lengths)
    _check_ids(source, blank)
    is_feasible = min_frames(source, source_lengths) <= lengths
    num_targets = source_lengths * is_feasible
    log_probs_SBV = logits.float().log_softmax(-1).transpose(0, 1)
    nll = ctc_loss(log_probs_SBV, source, lengths, num_targets, blank=blank, reduction="none")
    # An empty transcript has a likelihood too (blanks only), but there is nothing to learn from it.
    return nll.masked_fill(num_targets == 0, 0.0), num_targets, is_feasible


def _check_ids(source: Tensor, vocab_size: int) -> None:
    if source.numel() == 0:
        return
    low, high = int(source.min()), int(source.max())
    if low < 0 or high >= vocab_size:
        raise DataError(
            f"transcript ids must be in 0..{vocab_size - 1}, got {low if low < 0 else high}; "
            "was the model built for another tokenizer?"
        )


def min_frames(source: Tensor, source_lengths: Tensor) -> Tensor:
    """``[B]`` frames that CTC needs at least: one per token and a blank between equal neighbours."""
    if source.size(1) < 2:
        return source_lengths
    index = torch.arange(1, source.size(1), device=source.device)
    repeats = (source[:, 1:] == source[:, :-1]) & (index[None, :] < source_lengths[:, None])
    return source_lengths + repeats.sum(1)
