"""Measures of a layer other than retrieval by cosine, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor

from aista.selection.bootstrap import Estimate, estimate, weighted_means
from aista.selection.geometry import effective_rank, linear_cka, mean_cosine
from aista.selection.metrics import SCORES, Ranking, rank
from aista.selection.pair_transport import PairTransport, mismatched_pairs, sums_by_speech
from aista.selection.similarity import csls_matrix

__all__ = ["MEASURES", "pooled_measures", "row_measures", "transport_measures"]

MEASURES = {
    "mrr": "mean reciprocal rank by cosine, both directions",
    "recall@1": "recall@1 by cosine, both directions",
    "recall@5": "recall@5 by cosine, both directions",
    "recall@10": "recall@10 by cosine, both directions",
    "csls_mrr": "mean reciprocal rank by CSLS, both directions",
    "csls_recall@1": "recall@1 by CSLS, both directions",
    "cka": "linear CKA of speech and text, debiased",
    "speech_cosine": "mean cosine of two utterances' speech",
    "text_cosine": "mean cosine of two utterances' text",
    "speech_rank": "effective rank of speech",
    "text_rank": "effective rank of text",
    "speech_norm": "mean norm of speech",
    "text_norm": "mean norm of text",
    "ot_cost": "transport cost of true pairs",
    "ot_other": "transport cost of mismatched pairs",
    "ot_separation": "1 - ot_cost / ot_other",
    "ot_converged": "fraction of transport problems solved to the tolerance",
    "token_mrr": "mean reciprocal rank of tokens by their nearest speech state, both directions",
    "token_chance": "token_mrr of random order",
    "word_mrr": "mean reciprocal rank of words at their given times, both directions",
    "word_chance": "word_mrr of random order",
    "path_cosine": "alignment path score: mean largest cosine of each token",
    "path_distance": "mean smallest Euclidean distance of each token",
    "path_order": "rank correlation of the tokens with the places of their nearest speech states",
    "path_contrast": "ordered path's cosine of true pairs minus that of mismatched ones",
    "lens_mrr": "mean reciprocal rank of the transcript's tokens, output layer applied to the speech states",
    "lens_probability": "mean probability of the transcript's tokens, output layer applied to the speech states",
    "gradient_cosine": "cosine of the gradients of cross-entropy and transport at the speech input",
}
CKA_LEAST = 4


def pooled_measures(
    speech_ND: Tensor,
    text_ND: Tensor,
    groups: Sequence[Hashable],
    cosine_NN: Tensor,
    ranking: Ranking,
    *,
    neighbours: int = 10,
    counts_RN: Tensor | None = None,
) -> dict[str, Estimate]:
    """The measures of pooled states.

    Args:
        speech_ND: ``[N, D]`` pooled speech states.
        text_ND: ``[N, D]`` pooled text states; row i is the partner of speech row i.
        groups: N labels; rows with equal labels hold the same transcript.
        cosine_NN: Their cosines.
        ranking: Retrieval by that cosine.
        neighbours: Number of nearest neighbours in CSLS.
        counts_RN: ``[R, N]`` resamples; None: no intervals.

    Returns:
        Name -> estimate. Queries are resampled, candidates stay all utterances. Effective ranks have no interval;
        ``cka`` needs four utterances and is left out below.
    """
    csls = rank(csls_matrix(cosine_NN, neighbours), groups)
    columns = dict(zip(SCORES, ranking.values_N4.unbind(dim=1), strict=True))
    columns |= {"csls_mrr": csls.values_N4[:, 0], "csls_recall@1": csls.values_N4[:, 1]}
    columns |= {"speech_norm": speech_ND.double().norm(dim=1), "text_norm": text_ND.double().norm(dim=1)}
    measures = {name: _mean(values_N, counts_RN) for name, values_N in columns.items()}
    if len(speech_ND) >= CKA_LEAST:
        samples = None if counts_RN is None else linear_cka(speech_ND, text_ND, counts_RN)
        measures["cka"] = estimate(float(linear_cka(speech_ND, text_ND)), samples)
    for name, states_ND in (("speech", speech_ND), ("text", text_ND)):
        samples = None if counts_RN is None else mean_cosine(states_ND, counts_RN)
        measures[f"{name}_cosine"] = estimate(float(mean_cosine(states_ND)), samples)
        measures[f"{name}_rank"] = Estimate(float(effective_rank(states_ND)))
    return {name: measures[name] for name in MEASURES if name in measures}


def transport_measures(
    speech: Sequence[Tensor],
    text: Sequence[Tensor],
    groups: Sequence[Hashable],
    transport: PairTransport,
    *,
    mismatches: int = 4,
    counts_RN: Tensor | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, Estimate]:
    """Transport costs of true pairs, and of each utterance with ``mismatches`` others.

    Raises:
        ValueError: all utterances have the same transcript, so that none is mismatched; a cost is not finite.
    """
    size = len(speech)
    others = mismatched_pairs(groups, mismatches)
    if not len(others):
        raise ValueError(f"all {size} utterances have the same transcript; transport needs others to compare with")
    true_pairs = torch.arange(size)[:, None].expand(-1, 2)
    costs, converged = transport(speech, text, torch.cat([true_pairs, others]), device)
    true_N, mismatched_K = costs[:size], costs[size:]
    sums_N, numbers_N = sums_by_speech(mismatched_K, others, size)
    true_R = weighted_means(true_N, counts_RN) if counts_RN is not None else None
    mismatched_R = (counts_RN @ sums_N) / (counts_RN @ numbers_N) if counts_RN is not None else None
    true, mismatched = true_N.mean(), mismatched_K.mean()
    return {
        "ot_cost": estimate(float(true), true_R),
        "ot_other": estimate(float(mismatched), mismatched_R),
        "ot_separation": estimate(
            float(_separation(true, mismatched)),
            _separation(true_R, mismatched_R) if true_R is not None and mismatched_R is not None else None,
        ),
        "ot_converged": Estimate(float(converged.double().mean())),
    }


def row_measures(values: Mapping[str, Tensor], counts_RN: Tensor | None = None) -> dict[str, Estimate]:
    """Means of ``[N]`` values, one per utterance."""
    return {name: _mean(values_N, counts_RN) for name, values_N in values.items()}


def _mean(values_N: Tensor, counts_RN: Tensor | None) -> Estimate:
    return estimate(float(values_N.mean()), None if counts_RN is None else weighted_means(values_N, counts_RN))


def _separation(true: Tensor, mismatched: Tensor) -> Tensor:
    """``1 - true / mismatched``; 0 where mismatched pairs cost nothing, as after a collapse."""
    costs = mismatched > 1e-6
    return torch.where(costs, 1 - true / torch.where(costs, mismatched, 1), 0)
