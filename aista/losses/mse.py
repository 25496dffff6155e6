"""Mean squared error between pooled states, or token by token after even resampling of the speech."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from aista.losses.regression import Regression
from aista.registry import register

__all__ = ["MSEAlignment"]


@register("alignment_loss", "mse")
@dataclass(frozen=True, kw_only=True)
class MSEAlignment(Regression):
    """Squared error per channel between the two sides, ``|u - v|^2 / D``, for any batch size.

    ``u`` and ``v`` as in ``cosine``. Cost: one pass over the states. Source: Liu et al. 2020 ("Bridging the
    Modality Gap for Speech-to-Text Translation", arXiv 2010.14920), who shrink the speech to the text's length by a
    learned mechanism; the even resampling in its place is aista's choice.

    Choose it over ``cosine`` where the speech states should take the text states' norms as well, as the
    embeddings that enter an LLM's first block. Its scale is that of the layer: tune the weight per layer.
    """

    def error(self, u: Tensor, v: Tensor) -> Tensor:
        return (u - v).square().mean(-1)
