"""Layer selection by logit lens: the LLM's output layer applied to the speech states of each layer."""

from __future__ import annotations

from aista.registry import register
from aista.selection.ranked import RankedConfig, RankedSelection

__all__ = ["LogitLensSelection"]


@register("layer_selection", "logit_lens", config=RankedConfig)
class LogitLensSelection(RankedSelection):
    """Align the layers whose speech states best predict the transcript through the LLM's output layer (``lens_mrr``).

    The final norm and the output layer are applied to the states of every layer (logit lens); a token of the vocabulary
    counts by its largest probability over the positions, and the score is the mean reciprocal rank of the transcript's
    tokens among all others; see ``aista.modules.token_reading``. Costs ``N P D V`` multiplications per layer beside the
    probe's forward pass, for a vocabulary of V tokens.

    It needs only speech states, not text states. Later layers of a causal language model encode the *next* token rather
    than the present one, and frequent tokens always rank high: compare layers, not models. Choose it where input and
    output embeddings are tied, so that early layers share the output layer's space.
    """

    measure = "lens_mrr"
    readings = True
