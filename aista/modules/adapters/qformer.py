"""Q-Former adapter: a fixed number of learned queries attends to the whole utterance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aista.modules.adapters.base import NormedAdapter
from aista.modules.adapters.queries import QFormer, QFormerOptions
from aista.registry import register
from aista.schema import option
from aista.types import length_mask, zero_padding

__all__ = ["QFormerAdapter", "QFormerConfig"]


@dataclass(frozen=True, kw_only=True)
class QFormerConfig(QFormerOptions):
    """Options of the adapter ``qformer``."""

    num_queries: int = option(64, "LLM positions of an utterance of any duration.", minimum=1, maximum=100_000)


@register("adapter", "qformer", config=QFormerConfig)
class QFormerAdapter(NormedAdapter):
    """Learned queries that attend to the frames (Li et al. 2023, arXiv 2301.12597): ``num_queries`` positions.

    Queries attend to each other and, in every block, to the frames; the order of the frames enters through the
    encoder's states alone. BLIP-2's cross-attention in every other block and its text pretraining are left out.
    Choose it where utterances are of similar, short duration and the LLM's positions are scarce: the number of
    positions does not follow the duration, so long utterances get few positions a second and short ones many.

    Raises:
        ValueError: the width is not a multiple of ``num_heads``.
    """

    def __init__(self, config: QFormerConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__(output_dim, config.output_norm)
        self.num_queries = config.num_queries
        self.qformer = QFormer(config, num_queries=config.num_queries, input_dim=input_dim, output_dim=output_dim)

    @property
    def even_in_time(self) -> bool:
        """False: a query may attend to any frame."""
        return False

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, S, E]`` -> ``[B, num_queries, D]``, all of that length."""
        h_BSE = zero_padding(states, lengths).to(self.qformer.queries.dtype)
        x_BPD = self.qformer(h_BSE, length_mask(lengths, h_BSE.size(1)))
        return self.normalize(x_BPD), self.output_lengths(lengths)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return torch.full_like(lengths, self.num_queries)
