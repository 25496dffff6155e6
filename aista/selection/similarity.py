"""Similarities between the pooled states of two modalities."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["SIMILARITIES", "cosine_matrix", "csls_matrix"]

SIMILARITIES = ("cosine", "csls", "ot")


def cosine_matrix(speech_ND: Tensor, text_ND: Tensor) -> Tensor:
    """``[N, N]`` fp64 cosines of each speech row with each text row; 0 where a row is zero."""
    speech_ND, text_ND = (torch.nn.functional.normalize(states.double(), dim=1) for states in (speech_ND, text_ND))
    return speech_ND @ text_ND.T


def csls_matrix(cosine_NN: Tensor, neighbours: int = 10) -> Tensor:
    """Cross-domain similarity local scaling, ``2 cos(x, y) - r(x) - r(y)`` (Conneau et al. 2018, arXiv 1710.04087).

    ``r`` is the mean cosine with the nearest ``neighbours`` of the other modality. Choose it over the cosine
    where a few states are near everything (hubs) and so rank first for every query.

    Args:
        cosine_NN: ``[N, N]`` cosines, speech by text.
        neighbours: Number of nearest neighbours; where there are fewer candidates, all of them.

    Returns:
        ``[N, N]``; shifting all cosines by a constant changes nothing.
    """
    if neighbours < 1:
        raise ValueError(f"neighbours must be at least 1, got {neighbours}")
    count = min(neighbours, len(cosine_NN))
    speech_N1 = cosine_NN.topk(count, dim=1).values.mean(dim=1, keepdim=True)
    text_1N = cosine_NN.topk(count, dim=0).values.mean(dim=0, keepdim=True)
    return 2 * cosine_NN - speech_N1 - text_1N
