"""Layers whose speech states the language model already reads as the transcript."""

from __future__ import annotations

from aista.registry import register
from aista.selection.ranked import RankedConfig, RankedSelection

__all__ = ["LogitLensSelection"]


@register("layer_selection", "logit_lens", config=RankedConfig)
class LogitLensSelection(RankedSelection):
    """Align the layers where the LLM's output layer reads the transcript off the speech states best (``lens_mrr``).

    The final norm and the output layer are applied to the states of every layer (logit lens); a token of the vocabulary
    counts by its largest probability over the positions, and the score is the mean reciprocal rank of the transcript's
    tokens among all others; see ``aista.modules.token_reading``. Costs ``N P D V`` multiplications per layer beside the
    probe's forward pass, for a vocabulary of V tokens.

    It reads the speech alone, no text states. A causal language model's later layers hold the *next* token rather
    than the present one, and frequent tokens rank high whatever was said: compare layers, not models. Choose it where
    input and output embeddings are tied, so that early layers share the output layer's space.
    """

    measure = "lens_mrr"
    readings = True
