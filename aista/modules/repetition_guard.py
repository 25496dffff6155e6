"""Blocks repeated n-grams in a search, and records the rows whose search that changed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Forbidden", "RepetitionGuard"]


class Forbidden(NamedTuple):
    """The F extensions forbidden in a step: their ``[F]`` rows and the ``[F]`` scores they would have had."""

    rows: Tensor
    scores: Tensor


class RepetitionGuard:
    """Forbids tokens that would complete an n-gram already in the hypothesis (Paulus et al. 2018).

    Only new tokens count, not the prompt's. With N tokens so far, a step compares N n-grams for each beam, at
    negligible cost beside the model's step.

    Attributes:
        size: Tokens of an n-gram; 0 forbids nothing.
        changed: Rows of the batch in which a forbidden token would have been used at some step.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.changed: set[int] = set()

    def forbid(self, logp: Tensor, scores_RK: Tensor, tokens_RKN: Tensor) -> Forbidden | None:
        """Set forbidden tokens of ``logp`` ``[R * K, V]`` to minus infinity; None where there are none.

        Args:
            logp: Log-probabilities of the next tokens, changed in place.
            scores_RK: ``[R, K]`` log-probabilities of the beams.
            tokens_RKN: ``[R, K, N]`` their tokens.
        """
        if not 0 < self.size <= tokens_RKN.size(2):
            return None
        ngrams_RKMn = tokens_RKN.unfold(2, self.size, 1)
        context_RKm = tokens_RKN[:, :, tokens_RKN.size(2) - self.size + 1 :]
        rows, beams, places = (ngrams_RKMn[..., :-1] == context_RKm[:, :, None]).all(-1).nonzero(as_tuple=True)
        if not len(rows):
            return None
        tokens = ngrams_RKMn[rows, beams, places, -1]
        sequences = rows * tokens_RKN.size(1) + beams
        forbidden = Forbidden(rows, scores_RK[rows, beams] + logp[sequences, tokens])
        logp[sequences, tokens] = -torch.inf
        return forbidden

    def note(self, forbidden: Forbidden, rows: list[int], lowest_R: Tensor) -> None:
        """Remember the rows where a forbidden extension is better than the lowest that the step used.

        Args:
            forbidden: The result of ``forbid``.
            rows: Indices of the R rows in the batch.
            lowest_R: ``[R]`` the lowest score among the candidates that the step used.
        """
        better = forbidden.scores > lowest_R[forbidden.rows]
        self.changed.update(rows[r] for r in forbidden.rows[better].tolist())
