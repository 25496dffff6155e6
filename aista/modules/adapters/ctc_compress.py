"""CTC compression: consecutive frames with the same CTC label become one position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from aista.modules.adapters.base import OUTPUT_NORM, AdapterOutput
from aista.modules.adapters.content import ContentAdapter, content_terms
from aista.modules.ctc_model import ctc_nll
from aista.registry import register
from aista.schema import Options, option
from aista.types import RowTerm, length_mask, zero_padding

__all__ = ["CtcCompressAdapter", "CtcCompressConfig"]


@dataclass(frozen=True, kw_only=True)
class CtcCompressConfig(Options):
    """Options of the adapter ``ctc_compress``."""

    ctc_weight: float = option(1.0, "Weight of the CTC loss per token beside the cross-entropy per token.", above=0)
    merge: Literal["average", "weighted", "softmax"] = option(
        "average", "Weights of the frames of a segment: equal, by their label's probability, or by softmax of it."
    )
    drop_blanks: bool = option(False, "Drop segments of blanks, unless a row has no other.")
    dropout: float = option(0.0, "Dropout probability on the merged states.", minimum=0, maximum=0.9)
    output_norm: bool = option(True, OUTPUT_NORM)


@register("adapter", "ctc_compress", config=CtcCompressConfig)
class CtcCompressAdapter(ContentAdapter):
    """Merge consecutive frames with the same CTC label (Gaido et al. 2021, arXiv 2102.01578): at most n positions.

    ``x_p = norm(W sum_{s in segment p} w_s h_s)``; segments are runs of equal ``argmax`` of a linear CTC head over
    the tokenizer's ids and a blank, trained on the transcripts by a CTC loss. Choose it with transcripts and a
    tokenizer of moderate size, where positions should follow tokens instead of time: the head's logits take frames
    times vocabulary. Untrained labels merge few frames; start from a CTC-trained encoder.
    """

    def __init__(self, config: CtcCompressConfig, *, input_dim: int, output_dim: int, vocab_size: int) -> None:
        super().__init__(output_dim, config.output_norm)
        self.config = config
        self.head = nn.Linear(input_dim, vocab_size + 1)
        self.dropout = nn.Dropout(config.dropout)
        self.projection = nn.Linear(input_dim, output_dim)

    def adapt(
        self, states: Tensor, lengths: Tensor, source: Tensor | None = None, source_lengths: Tensor | None = None
    ) -> AdapterOutput:
        """Like ``forward``, with the CTC loss of the transcripts, ``-log P(source | states)`` per token.

        Raises:
            DataError: a transcript id is outside the vocabulary.
        """
        h_BSE = zero_padding(states, lengths).to(self.projection.weight.dtype)
        logits_BSV = self.head(h_BSE)
        weight_BPS, out_lengths = self._segments(logits_BSV, lengths)
        x_BPD = self.collect(weight_BPS, h_BSE)
        if source is None or source_lengths is None:
            return AdapterOutput(x_BPD, out_lengths)
        nll, num_tokens, is_feasible = ctc_nll(logits_BSV, lengths, source, source_lengths)
        ctc = RowTerm("ctc", self.config.ctc_weight, nll / num_tokens.clamp(min=1), num_tokens > 0)
        watched = content_terms(lengths, out_lengths, ~is_feasible, source_lengths > 0)
        return AdapterOutput(x_BPD, out_lengths, (ctc, *watched))

    def _segments(self, logits_BSV: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, P, S]`` weights of the frames in each position, summing to 1, and the ``[B]`` lengths."""
        score_BS, label_BS = logits_BSV.float().max(-1)
        valid_BS = length_mask(lengths, label_BS.size(1))
        starts_BS = torch.ones_like(valid_BS)
        starts_BS[:, 1:] = label_BS[:, 1:] != label_BS[:, :-1]
        keep_BS = valid_BS
        if self.config.drop_blanks:
            spoken_BS = valid_BS & (label_BS != logits_BSV.size(-1) - 1)
            keep_BS = torch.where(spoken_BS.any(1, keepdim=True), spoken_BS, valid_BS)
        segment_BS = (starts_BS & keep_BS).cumsum(1) - 1
        out_lengths = segment_BS[:, -1] + 1
        weight_BS = torch.ones_like(score_BS)
        if self.config.merge != "average":
            weight_BS = (score_BS - logits_BSV.float().logsumexp(-1)).exp()
        if self.config.merge == "softmax":
            weight_BS = weight_BS.exp()
        index_P = torch.arange(int(out_lengths.max()), device=lengths.device)
        is_in_BPS = (segment_BS[:, None, :] == index_P[:, None]) & keep_BS[:, None, :]
        weight_BPS = weight_BS[:, None, :] * is_in_BPS
        # A probability is at least 1 / (V + 1), so only positions beyond a row's length are empty.
        return weight_BPS / weight_BPS.sum(-1, keepdim=True).clamp(min=1e-12), out_lengths
