"""Cosine distance between pooled states, or token by token after even resampling of the speech."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from aista.losses.regression import Regression
from aista.registry import register

__all__ = ["CosineAlignment"]


@register("alignment_loss", "cosine")
@dataclass(frozen=True, kw_only=True)
class CosineAlignment(Regression):
    """Cosine distance ``1 - <u, v> / (|u| |v|)`` between the two sides, in [0, 2], for any batch size.

    ``u`` and ``v`` are the sides' pooled states; at level ``token`` the mean distance of each text state to
    the speech state at the same fraction of the utterance. Cost: one pass over the states. Not a published
    method by itself; pooled, it is the positive term of ConST (Ye et al. 2022, arXiv 2205.02444).

    Choose it as the simplest baseline. Pooled, it does not match single states, and if the text side is trained
    too, all utterances may collapse to one point (``infonce`` prevents that); at token level it assumes an even
    speaking rate (``soft_dtw`` and ``ot`` find the matching).
    """

    def error(self, u: Tensor, v: Tensor) -> Tensor:
        return 1 - functional.cosine_similarity(u, v, dim=-1, eps=1e-12)
