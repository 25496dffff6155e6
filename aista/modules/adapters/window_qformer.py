"""Window-level Q-Former adapter: a fixed number of learned queries per window of frames."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pad

from aista.modules.adapters.base import NormedAdapter
from aista.modules.adapters.queries import QFormer, QFormerOptions
from aista.modules.strided_conv import ceil_divide
from aista.registry import register
from aista.schema import option
from aista.types import length_mask, zero_padding

__all__ = ["WindowQFormerAdapter", "WindowQFormerConfig"]


@dataclass(frozen=True, kw_only=True)
class WindowQFormerConfig(QFormerOptions):
    """Options of the adapter ``window_qformer``."""

    window: int = option(
        17, "Frames per window; 17 frames of Whisper are a third of a second.", minimum=1, maximum=1_000_000
    )
    num_queries: int = option(1, "Positions per window.", minimum=1, maximum=100_000)


@register("adapter", "window_qformer", config=WindowQFormerConfig)
class WindowQFormerAdapter(NormedAdapter):
    """Q-Former on each window of frames (Tang et al. 2024, arXiv 2310.13289): ``num_queries`` positions per window.

    n frames -> ``num_queries * ceil(n / window)`` positions. Windows do not overlap and share all weights; the
    last one may be shorter. A single query has no self-attention. Choose it for strong frozen encoders whose states
    already have the context of the whole utterance, where the number of positions should follow the duration.

    Raises:
        ValueError: the width is not a multiple of ``num_heads``.
    """

    def __init__(self, config: WindowQFormerConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__(output_dim, config.output_norm)
        self.window, self.num_queries = config.window, config.num_queries
        self.qformer = QFormer(config, num_queries=config.num_queries, input_dim=input_dim, output_dim=output_dim)

    @property
    def even_in_time(self) -> bool:
        """Whether a window has a single query; several queries of a window have no order."""
        return self.num_queries == 1

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        h_BSE = zero_padding(states, lengths).to(self.qformer.queries.dtype)
        h_BSE = pad(h_BSE, (0, 0, 0, -h_BSE.size(1) % self.window))
        batch, size = h_BSE.shape[:2]
        mask_BS = length_mask(lengths, size)
        windows_NWE = h_BSE.reshape(-1, self.window, h_BSE.size(2))
        mask_NW = mask_BS.reshape(-1, self.window)
        # Windows of padding alone are left out: there is nothing to attend to.
        index_K = mask_NW[:, 0].nonzero().flatten()
        x_KQD = self.qformer(windows_NWE[index_K], mask_NW[index_K])
        x_NQD = x_KQD.new_zeros(len(mask_NW), *x_KQD.shape[1:]).index_put((index_K,), x_KQD)
        return self.normalize(x_NQD.reshape(batch, -1, x_NQD.size(2))), self.output_lengths(lengths)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """``num_queries * ceil(n / window)``."""
        return self.num_queries * ceil_divide(lengths, self.window)
