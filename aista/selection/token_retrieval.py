"""Layer selection by retrieval between utterances and their transcripts' tokens."""

from __future__ import annotations

from dataclasses import dataclass

from aista.registry import register
from aista.schema import option
from aista.selection.curve import ProbeCurve
from aista.selection.item_retrieval import TokenRetrieval
from aista.selection.ranked import RankedConfig, RankedSelection, chance_of

__all__ = ["TokenRetrievalSelection", "TokenRetrievalSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class TokenRetrievalSelectionConfig(RankedConfig):
    """Options of ``token_retrieval``."""

    tokens: int = option(
        1024, "Maximum number of tokens used as queries and candidates, drawn from the probe set.", minimum=2
    )


@register("layer_selection", "token_retrieval", config=TokenRetrievalSelectionConfig)
class TokenRetrievalSelection(RankedSelection):
    """Align the layers with the best retrieval between utterances and their transcripts' tokens (``token_mrr``).

    ``s(utterance, token) = max_p cos(x_p, y)``, then mean reciprocal ranks in both directions; see
    ``aista.selection.item_retrieval``. Costs ``N P C D`` multiplications per layer beside the probe's forward pass.

    Choose it where whole utterances are retrieved at every layer, so that ``retrieval`` no longer distinguishes layers,
    and the manifest has no word times.
    """

    measure = "token_mrr"

    def __init__(self, config: TokenRetrievalSelectionConfig, *, num_layers: int) -> None:
        super().__init__(config, num_layers=num_layers)
        self.measures = (TokenRetrieval(config.tokens),)

    def chance(self, curve: ProbeCurve) -> float | None:
        return chance_of(curve, "token_chance")
