"""Continuous integrate-and-fire: frames are accumulated until their weights add up to one position."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from aista.modules.adapters.base import OUTPUT_NORM, AdapterOutput
from aista.modules.adapters.content import ContentAdapter, content_terms
from aista.modules.strided_conv import StridedConv
from aista.registry import register
from aista.schema import Options, option
from aista.types import RowTerm, length_mask, zero_padding

__all__ = ["CifAdapter", "CifConfig", "fire"]


@dataclass(frozen=True, kw_only=True)
class CifConfig(Options):
    """Options of the adapter ``cif``."""

    quantity_weight: float = option(
        1.0, "Weight of the quantity loss per token beside the cross-entropy per token.", minimum=0
    )
    kernel_size: int = option(
        3, "Kernel of the convolution that predicts the frames' weights.", minimum=1, maximum=1_000
    )
    dropout: float = option(0.0, "Dropout probability on the integrated states.", minimum=0, maximum=0.9)
    output_norm: bool = option(True, OUTPUT_NORM)


@register("adapter", "cif", config=CifConfig)
class CifAdapter(ContentAdapter):
    """Continuous integrate-and-fire (Dong & Xu 2020, arXiv 1905.11235): n frames -> about one position per token.

    A convolution gives each frame a weight ``alpha_s`` in 0..1; frames are added up, weighted, and a position is
    fired whenever the weights reach 1. In training the weights are scaled so that a row with T transcript tokens
    fires T times, and the quantity loss ``|sum_s alpha_s - T| / T`` trains their sum, which gives the number of
    positions in inference: ``max(1, round(sum_s alpha_s))``. Choose it where speech should have the length of its
    transcript without a CTC head over the vocabulary; rows without a transcript fire as in inference.
    """

    def __init__(self, config: CifConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__(output_dim, config.output_norm)
        self.quantity_weight = config.quantity_weight
        self.conv = StridedConv(input_dim, input_dim, kernel_size=config.kernel_size, stride=1)
        self.alpha = nn.Linear(input_dim, 1)
        self.dropout = nn.Dropout(config.dropout)
        self.projection = nn.Linear(input_dim, output_dim)

    def adapt(
        self, states: Tensor, lengths: Tensor, source: Tensor | None = None, source_lengths: Tensor | None = None
    ) -> AdapterOutput:
        """Like ``forward``, with the quantity loss; in training mode one position per transcript token.

        A row with more tokens than frames fires once per frame, and is counted.
        """
        h_BSE = zero_padding(states, lengths).to(self.projection.weight.dtype)
        alpha_BS = zero_padding(self.alpha(gelu(self.conv(h_BSE, lengths)[0])).squeeze(-1).float().sigmoid(), lengths)
        quantity_B = alpha_BS.sum(1)
        out_lengths = torch.minimum((quantity_B.detach() + 0.5).floor().long().clamp(min=1), lengths)
        if source_lengths is None:
            return AdapterOutput(self.collect(fire(alpha_BS, out_lengths), h_BSE), out_lengths)
        has_transcript = source_lengths > 0
        if self.training:
            out_lengths = torch.where(has_transcript, torch.minimum(source_lengths, lengths), out_lengths)
            scale_B = out_lengths / quantity_B.clamp(min=1e-6)
            alpha_BS = torch.where(has_transcript[:, None], alpha_BS * scale_B[:, None], alpha_BS)
        x_BPD = self.collect(fire(alpha_BS, out_lengths), h_BSE)
        error_B = (quantity_B - source_lengths).abs() / source_lengths.clamp(min=1)
        quantity = RowTerm("quantity", self.quantity_weight, error_B.masked_fill(~has_transcript, 0), has_transcript)
        watched = content_terms(lengths, out_lengths, source_lengths > lengths, has_transcript)
        return AdapterOutput(x_BPD, out_lengths, (quantity, *watched))


def fire(alpha_BS: Tensor, out_lengths: Tensor) -> Tensor:
    """Weight of each frame in each position.

    Frame s covers the interval from ``c_{s-1}`` to ``c_s``, the cumulative weights; position p collects what lies
    between p and p + 1: ``w_ps = max(0, min(c_s, p + 1) - max(c_{s-1}, p))``, divided by its sum over s, which is 1
    but for the last position: that one takes what is left.

    Args:
        alpha_BS: ``[B, S]`` weights, 0 in the padding.
        out_lengths: ``[B]`` positions, the rounded sums of the weights and at least 1.

    Returns:
        ``[B, P, S]``, zeros beyond a row's positions.
    """
    end_BS = alpha_BS.cumsum(1)
    begin_BS = end_BS - alpha_BS
    start_P = torch.arange(int(out_lengths.max()), device=alpha_BS.device, dtype=alpha_BS.dtype)
    stop_BP = (start_P + 1).expand(len(alpha_BS), -1)
    # Rounding may leave the last sum a little above the last position's end.
    stop_BP = torch.where(start_P + 1 == out_lengths[:, None], torch.inf, stop_BP)
    overlap_BPS = torch.minimum(end_BS[:, None, :], stop_BP[:, :, None]) - torch.maximum(
        begin_BS[:, None, :], start_P[:, None]
    )
    weight_BPS = overlap_BPS.clamp(min=0) * length_mask(out_lengths, len(start_P))[:, :, None]
    return weight_BPS / weight_BPS.sum(-1, keepdim=True).clamp(min=1e-6)
