"""Layers where the speech of a word finds the word's text among all words."""

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
        4096, "Maximum number of words that are queries and candidates, drawn from the probe.", minimum=2
    )


@register("layer_selection", "word_retrieval", config=WordRetrievalSelectionConfig)
class WordRetrievalSelection(RankedSelection):
    """Align the layers where words, at the times when they are spoken, find their text best (``word_mrr``).

    Speech of a word: the mean of the states that its time covers; text: the mean of its tokens' states; mean reciprocal
    ranks by cosine among the words of the probe, both directions; see ``aista.selection.item_retrieval``. Costs
    ``C^2 D`` multiplications per layer for C words beside the probe's forward pass.

    Needs the column ``word_times`` in dev, and an adapter whose positions are even in time. Choose it where there are
    word times: it measures what drawing a word's speech to that word needs, and infers no place.
    """

    measure = "word_mrr"
    needs_words = True

    def __init__(self, config: WordRetrievalSelectionConfig, *, num_layers: int) -> None:
        super().__init__(config, num_layers=num_layers)
        self.measures = (WordRetrieval(config.words),)

    def chance(self, curve: ProbeCurve) -> float | None:
        return chance_of(curve, "word_chance")
