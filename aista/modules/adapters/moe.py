"""Mixture-of-experts adapter: a router sends stacked frames to a few of many MLPs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import one_hot

from aista.modules.adapters.base import OUTPUT_NORM, AdapterOutput, NormedAdapter
from aista.modules.adapters.frame_stack import stack_frames
from aista.modules.strided_conv import ceil_divide
from aista.registry import register
from aista.schema import Options, option
from aista.types import RowTerm, length_mask

__all__ = ["MoeAdapter", "MoeConfig"]


@dataclass(frozen=True, kw_only=True)
class MoeConfig(Options):
    """Options of the adapter ``moe``."""

    stride: int = option(4, "Frames stacked into one LLM position.", minimum=1, maximum=1_000)
    num_experts: int = option(8, "Experts.", minimum=2, maximum=256)
    top_k: int = option(2, "Number of experts for each position.", minimum=1)
    hidden_dim: int | None = option(
        None, "Inner width of an expert; null for the LLM's width.", minimum=1, maximum=100_000
    )
    balance_weight: float = option(
        0.01, "Weight of the load-balancing loss beside the cross-entropy per token.", minimum=0
    )
    dropout: float = option(0.0, "Dropout probability within the experts.", minimum=0, maximum=0.9)
    output_norm: bool = option(True, OUTPUT_NORM)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.top_k > self.num_experts:
            raise ValueError(f"top_k must be at most num_experts, got {self.top_k} of {self.num_experts}")
        if self.top_k == 1 and self.output_norm:
            raise ValueError(
                "top_k 1 needs output_norm: false, as the norm cancels the gate and the router would get no gradient; "
                "set it, or send positions to 2 experts"
            )


@register("adapter", "moe", config=MoeConfig)
class MoeAdapter(NormedAdapter):
    """Mixture of experts: frame stacking, then ``top_k`` of many MLPs: n frames -> ``ceil(n / stride)`` positions.

    ``x = norm(sum_{e in top k} g_e MLP_e(h))`` with ``g`` the router's probabilities, divided by their sum over the
    chosen experts where there are several (Shazeer et al. 2017, arXiv 1701.06538; Fedus et al. 2021,
    arXiv 2101.03961). No position is dropped: experts have no capacity. The load-balancing loss of a row is
    ``E sum_e f_e p_e`` with ``f_e`` the fraction of its choices that fell on expert e and ``p_e`` the mean probability
    of e over its positions: 1 where the row is spread evenly. Choose it where speech is of several kinds (languages,
    accents, domains) and one projection is not enough; it costs as much as ``top_k`` experts.
    """

    def __init__(self, config: MoeConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__(output_dim, config.output_norm)
        self.config = config
        self.output_dim = output_dim
        width, hidden_dim = config.stride * input_dim, config.hidden_dim or output_dim
        self.router = nn.Linear(width, config.num_experts, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, hidden_dim), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(hidden_dim, output_dim)
            )
            for _ in range(config.num_experts)
        )

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.adapt(states, lengths)[:2]

    def adapt(
        self, states: Tensor, lengths: Tensor, source: Tensor | None = None, source_lengths: Tensor | None = None
    ) -> AdapterOutput:
        """Like ``forward``, with the load-balancing loss of each row; transcripts are not used."""
        h_BPK = stack_frames(states.to(self.router.weight.dtype), lengths, self.config.stride)
        out_lengths = self.output_lengths(lengths)
        mask_BP = length_mask(out_lengths, h_BPK.size(1))
        prob_BPE = self.router(h_BPK).float().softmax(-1)
        top_BPk, chosen_BPk = prob_BPE.topk(self.config.top_k, dim=-1)
        if self.config.top_k > 1:
            top_BPk = top_BPk / top_BPk.sum(-1, keepdim=True)
        x_BPD = self.normalize(self._mix(h_BPK, top_BPk, chosen_BPk, mask_BP))
        balance_B = self._balance(prob_BPE, chosen_BPk, mask_BP)
        term = RowTerm("load_balance", self.config.balance_weight, balance_B, out_lengths > 0)
        return AdapterOutput(x_BPD, out_lengths, (term,))

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """``ceil(n / stride)``."""
        return ceil_divide(lengths, self.config.stride)

    def _mix(self, h_BPK: Tensor, gate_BPk: Tensor, chosen_BPk: Tensor, mask_BP: Tensor) -> Tensor:
        """Run each position through its experts only; an expert without positions still takes part in the graph."""
        out_BPD = h_BPK.new_zeros(*h_BPK.shape[:2], self.output_dim)
        for number, expert in enumerate(self.experts):
            is_sent_BPk = (chosen_BPk == number) & mask_BP[:, :, None]
            row_N, position_N, slot_N = is_sent_BPk.nonzero(as_tuple=True)
            y_ND = gate_BPk[row_N, position_N, slot_N, None] * expert(h_BPK[row_N, position_N])
            # A position is sent to an expert once at most, so no two additions meet.
            out_BPD = out_BPD.index_put((row_N, position_N), y_ND.to(out_BPD.dtype), accumulate=True)
        return out_BPD

    def _balance(self, prob_BPE: Tensor, chosen_BPk: Tensor, mask_BP: Tensor) -> Tensor:
        share_BPE = one_hot(chosen_BPk, self.config.num_experts).sum(2) / self.config.top_k
        count_B1 = mask_BP.sum(1, keepdim=True)
        f_BE, p_BE = ((x * mask_BP[:, :, None]).sum(1) / count_B1 for x in (share_BPE, prob_BPE))
        return self.config.num_experts * (f_BE * p_BE).sum(1)
