"""Retrieval of tokens and words: utterances and their tokens, or the speech and text of words."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aista.selection.bootstrap import Estimate
from aista.selection.metrics import mean_reciprocal, ranks_of_partner, rivals
from aista.selection.state_measures import KeptStates, StateMeasure, unit, weighted_estimate

__all__ = ["TokenRetrieval", "WordRetrieval", "expected_ranks"]

TIE = 1e-6  # of fp32 cosines
SEED = 12345


@dataclass(frozen=True)
class TokenRetrieval(StateMeasure):
    """Mean reciprocal rank of retrieval between utterances and their transcripts' tokens. Needs no word times.

    The similarity of utterance i and token c is the cosine of the token's state with the nearest speech state,
    ``s(i, c) = max_p cos(x_ip, y_c)`` (the late interaction of Khattab & Zaharia 2020, arXiv 2004.12832, token by
    token). Each token gives two queries: its utterance's speech ranks it among the other tokens, except those that also
    occur in its transcript, and the token ranks its own utterance among those that do not contain it. ``token_mrr`` is
    the mean reciprocal rank, ``token_chance`` that of a random ranking; ties count as in ``aista.selection.metrics``,
    so that collapsed states score chance. All candidates take the maximum over the same positions, so the choice of
    the nearest position gives the true token no advantage.

    Cost: ``N P C D`` multiplications per layer, for N utterances of P positions and C tokens.

    Attributes:
        candidates: C, the number of tokens drawn from the probe set.
    """

    candidates: int = 1024

    def __call__(self, kept: KeptStates, counts_RN: Tensor | None) -> dict[str, Estimate]:
        if not kept.tokens:
            return {}
        lengths = torch.tensor([len(ids) for ids in kept.tokens])
        drawn = torch.randperm(int(lengths.sum()), generator=torch.Generator().manual_seed(SEED))[: self.candidates]
        owner_C = torch.arange(len(lengths)).repeat_interleave(lengths)[drawn]
        ids_C = torch.cat(kept.tokens)[drawn]
        text_CD = unit(torch.cat(kept.text)[drawn], kept.device)
        similarity_NC = torch.stack([(unit(x, kept.device) @ text_CD.T).amax(0).cpu() for x in kept.speech])
        contains_NC = torch.stack([torch.isin(ids_C, ids) for ids in kept.tokens])
        own_C = similarity_NC[owner_C, torch.arange(len(drawn))]
        among_tokens = expected_ranks(own_C, similarity_NC[owner_C], ~contains_NC[owner_C])
        among_utterances = expected_ranks(own_C, similarity_NC.T, ~contains_NC.T)
        return _mrr("token", (among_tokens + among_utterances) / 2, owner_C, len(lengths), counts_RN)


@dataclass(frozen=True)
class WordRetrieval(StateMeasure):
    """Mean reciprocal rank of retrieval between the speech and the text of words. Needs word times.

    A word's speech is the mean of the states within its time, weighted by overlap; its text the mean of its tokens'
    states. Cosine; candidates are the words of the whole probe set, except other occurrences of the same tokens.
    ``word_mrr`` is the mean of both directions, ``word_chance`` that of a random ranking.

    Cost: ``C^2 D`` multiplications per layer, for C words.

    Attributes:
        candidates: Maximum of C; of more words, C are drawn.
    """

    candidates: int = 4096

    def __call__(self, kept: KeptStates, counts_RN: Tensor | None) -> dict[str, Estimate]:
        if not kept.tokens:
            return {}
        owners, keys, speech, text = [], [], [], []
        for index, spans in enumerate(kept.words):
            for first, end, start, stop in spans.tolist():
                owners.append(index)
                keys.append(tuple(kept.tokens[index][int(first) : int(end)].tolist()))
                speech.append(covered(kept.speech[index].float(), start, stop))
                text.append(kept.text[index][int(first) : int(end)].float().mean(0))
        if len(set(keys)) < 2:
            return {}
        drawn = torch.randperm(len(keys), generator=torch.Generator().manual_seed(SEED))[: self.candidates]
        x, y = (unit(torch.stack(states)[drawn], kept.device) for states in (speech, text))
        similarity_CC = (x @ y.T).cpu()
        rivals_CC = rivals([keys[place] for place in drawn.tolist()], len(drawn), similarity_CC.device)
        own_C = similarity_CC.diagonal()
        by_speech = expected_ranks(own_C, similarity_CC, rivals_CC)
        by_text = expected_ranks(own_C, similarity_CC.T, rivals_CC)
        return _mrr("word", (by_speech + by_text) / 2, torch.tensor(owners)[drawn], len(kept.words), counts_RN)


def covered(states_PD: Tensor, start: float, end: float) -> Tensor:
    """``[D]`` mean of the states between two fractions of an utterance's duration, weighted by overlap.

    The nearest state where the span covers none.
    """
    size = len(states_PD)
    place_P = torch.arange(size, dtype=states_PD.dtype)
    weight_P = (place_P + 1).clamp(max=end * size) - place_P.clamp(min=start * size)
    weight_P = weight_P.clamp_min(0)
    if not bool(weight_P.sum() > 0):
        return states_PD[min(size - 1, max(0, int(start * size)))]
    return weight_P @ states_PD / weight_P.sum()


def expected_ranks(own_Q: Tensor, similarity_QC: Tensor, rivals_QC: Tensor) -> Tensor:
    """``[Q, 2]`` fp64 expected reciprocal ranks of partners, and of random order; arguments of ``ranks_of_partner``."""
    num_candidates_Q = rivals_QC.sum(1) + 1
    found_Q = mean_reciprocal(*ranks_of_partner(own_Q, similarity_QC, rivals_QC, TIE))
    return torch.stack([found_Q, mean_reciprocal(torch.ones_like(num_candidates_Q), num_candidates_Q)], dim=1)


def _mrr(name: str, values_C2: Tensor, owner_C: Tensor, size: int, counts_RN: Tensor | None) -> dict[str, Estimate]:
    """Means over the queries; an utterance is drawn with all of its own."""
    sums_N2 = torch.zeros(size, 2, dtype=torch.float64).index_add_(0, owner_C, values_C2)
    numbers_N = torch.bincount(owner_C, minlength=size)
    return {
        f"{name}_mrr": weighted_estimate(sums_N2[:, 0], numbers_N, counts_RN),
        f"{name}_chance": weighted_estimate(sums_N2[:, 1], numbers_N, None),
    }
