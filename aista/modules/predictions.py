"""Predictions of chosen tokens by the language model: their NLL, and divergences between both branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from aista.modules.llms.base import LanguageModel
from aista.modules.sliced_nll import sliced_nll

__all__ = ["Divergence", "Tokens", "token_divergence", "token_nll"]

Divergence = Callable[[Tensor, Tensor], Tensor]
"""Logits ``[K, V]`` of the speech branch and of the text branch -> ``[K]``."""

SLICE = 128
"""Target tokens whose logits are compared at a time."""


class Tokens(NamedTuple):
    """Places of the K counted tokens in ``[B, U]``.

    Finding them makes the host wait for a GPU: do it before the language model runs. What follows does not wait.
    """

    rows: Tensor
    columns: Tensor
    shape: torch.Size

    @classmethod
    def of(cls, valid: Tensor) -> Tokens:
        """The tokens marked in ``[B, U]``; a token at position 0 of the model cannot be predicted."""
        rows, columns = valid.nonzero(as_tuple=True)
        return cls(rows, columns, valid.shape)

    def predictors(self, states: Tensor, start: Tensor) -> Tensor:
        """``[K, D]`` of ``[B, N, D]`` states: each token's predecessor. A row's tokens begin at its ``[B]`` start."""
        position_K = start.index_select(0, self.rows) + self.columns - 1
        return states.flatten(0, 1).index_select(0, self.rows * states.size(1) + position_K)

    def labels(self, labels: Tensor) -> Tensor:
        """``[K]`` of ``[B, U]`` ids."""
        return labels.flatten().index_select(0, self.rows * labels.size(1) + self.columns)

    def sum_rows(self, values: Tensor) -> Tensor:
        """``[K]`` values summed over each row: ``[B]``, 0 for rows without such tokens."""
        # Placed and then summed, not added up by index: the order of additions is fixed on every device.
        return values.new_zeros(self.shape).index_put((self.rows, self.columns), values).sum(dim=1)


def token_nll(llm: LanguageModel, states: Tensor, start: Tensor, labels: Tensor, tokens: Tokens) -> Tensor:
    """Summed negative log-likelihood of tokens in the middle of rows, projecting no other position; see ``sliced_nll``.

    Args:
        llm: Projects states to logits.
        states: ``[B, N, D]`` final states.
        start: ``[B]`` position of each row's token ``labels[:, 0]``; the state before it predicts it.
        labels: ``[B, U]`` ids.
        tokens: The counted ones among them.

    Returns:
        ``[B]`` nats in fp32; 0 for rows without such tokens.
    """
    nll_K = sliced_nll(llm, tokens.predictors(states, start), tokens.labels(labels))
    return tokens.sum_rows(nll_K)


def token_divergence(
    llm: LanguageModel,
    divergence: Divergence,
    speech: tuple[Tensor, Tensor],
    text: tuple[Tensor, Tensor],
    tokens: Tokens,
) -> Tensor:
    """Summed divergence between two branches' predictions of the same target tokens.

    Tokens go through in slices whose logits are computed again in backward: no ``[B, U, V]`` is ever kept.

    Args:
        llm: Projects states to logits.
        divergence: Compares a slice.
        speech: ``[B, N, D]`` final states of the speech branch, and the ``[B]`` positions of each row's first target.
        text: The same for the text branch.
        tokens: The counted target tokens.

    Returns:
        ``[B]`` in fp32; 0 for rows without such tokens.
    """

    def compare(x_KD: Tensor, y_KD: Tensor) -> Tensor:
        return divergence(llm.project(x_KD), llm.project(y_KD)).float()

    sides = (torch.split(tokens.predictors(*side), SLICE) for side in (speech, text))
    parts = [
        checkpoint(compare, *pair, use_reentrant=False, preserve_rng_state=llm.training)
        for pair in zip(*sides, strict=True)
    ]
    return tokens.sum_rows(torch.cat(parts))
