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
    """Cosine distance ``1 - <u, v> / (|u| |v|)`` of the two sides, in [0, 2], whatever the batch size.

    ``u`` and ``v`` are the sides' pooled states; at level ``token`` the mean distance of each text state to
    the speech state at the same share of the utterance. Cost: one pass over the states. No published method
    by itself; pooled, the positive term of ConST (Ye et al. 2022, arXiv 2205.02444) alone.

    Choose it as the simplest baseline. Pooled, it leaves open which state matches which, and nothing keeps
    all utterances from collapsing to one point where the text side moves too (``infonce`` does); at token
    level it trusts an even speaking rate (``soft_dtw`` and ``ot`` search the matching).
    """

    def error(self, u: Tensor, v: Tensor) -> Tensor:
        return 1 - functional.cosine_similarity(u, v, dim=-1, eps=1e-12)
