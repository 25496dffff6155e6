"""Logit lens: the language model's output layer applied to speech states of inner layers."""

from __future__ import annotations

import torch
from torch import Tensor

from aista.modules.llms.base import LanguageModel

__all__ = ["read_tokens"]


@torch.no_grad()
def read_tokens(
    llm: LanguageModel, states_BPD: Tensor, lengths: Tensor, tokens_BT: Tensor, token_lengths: Tensor
) -> Tensor:
    """Rank and probability of each transcript token under the output layer applied to a row's states (logit lens).

    Position p gives ``q_p = softmax(project(normalize(h_p)))``; the row's value of token v of the vocabulary is
    ``q(v) = max_p q_p(v)``, since a token may appear at one position only, as in CTC. A token's rank is 1 + the number
    of tokens *outside* the row's ``tokens_BT`` with a larger ``q``; equal ones count half. The final norm is applied at
    every layer, as the logit lens does (nostalgebraist 2020); Belrose et al. (2023, arXiv 2303.08112) discuss its bias
    at early layers.

    Cost: one projection of each position, ``P D V`` a row; rows are read one by one, so that no ``[B, P, V]`` is kept.

    Args:
        llm: The language model, for its final norm and output layer.
        states_BPD: ``[B, P, D]`` states of a layer.
        lengths: ``[B]`` their lengths.
        tokens_BT: ``[B, T]`` token ids.
        token_lengths: ``[B]`` their lengths.

    Returns:
        ``[B, T, 2]`` fp32: reciprocal rank, and ``q``; 0 in the padding and in rows without states.
    """
    readings = torch.zeros(*tokens_BT.shape, 2, device=states_BPD.device)
    for row, (length, count) in enumerate(zip(lengths.tolist(), token_lengths.tolist(), strict=True)):
        if length and count:
            readings[row, :count] = _read(llm, states_BPD[row, :length], tokens_BT[row, :count])
    return readings


def _read(llm: LanguageModel, states_PD: Tensor, tokens_T: Tensor) -> Tensor:
    log_q_V = llm.project(llm.normalize(states_PD)).float().log_softmax(-1).amax(0)
    own_T = log_q_V[tokens_T]
    others = torch.ones_like(log_q_V, dtype=torch.bool)
    others[tokens_T] = False
    rivals_R = log_q_V[others].sort().values
    below_T = torch.searchsorted(rivals_R, own_T)
    up_to_T = torch.searchsorted(rivals_R, own_T, right=True)
    rank_T = 1 + len(rivals_R) - (below_T + up_to_T) / 2
    return torch.stack([1 / rank_T, own_T.exp()], dim=-1)
