"""Layer selection by retrieval between the speech and the text of single words."""

from __future__ import annotations

from dataclasses import dataclass

from aista.registry import register
from aista.schema import option
from aista.selection.curve import ProbeCurve
from aista.selection.item_retrieval import WordRetrieval
from aista.selection.ranked import RankedConfig, RankedSelection, chance_of

__all__ = ["WordRetrievalSelection", "WordRetrievalSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class WordRetrievalSelectionConfig(RankedConfig):
    """Options of ``word_retrieval``."""

    words: int = option(
        4096, "Maximum number of words used as queries and candidates, drawn from the probe set.", minimum=2
    )


@register("layer_selection", "word_retrieval", config=WordRetrievalSelectionConfig)
class WordRetrievalSelection(RankedSelection):
    """Align the layers with the best retrieval between the speech and the text of words (``word_mrr``).

    Speech of a word: the mean of the states within its time; text: the mean of its tokens' states; mean reciprocal rank
    by cosine among the words of the probe set, both directions; see ``aista.selection.item_retrieval``. Costs ``C^2 D``
    multiplications per layer for C words beside the probe's forward pass.

    Needs the column ``word_times`` in dev, and an adapter whose positions are even in time. Choose it where there are
    word times: it measures directly how well the speech of a word matches its text.
    """

    measure = "word_mrr"
    needs_words = True

    def __init__(self, config: WordRetrievalSelectionConfig, *, num_layers: int) -> None:
        super().__init__(config, num_layers=num_layers)
        self.measures = (WordRetrieval(config.words),)

    def chance(self, curve: ProbeCurve) -> float | None:
        return chance_of(curve, "word_chance")
