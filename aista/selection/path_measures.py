"""Token-level paths between the speech and the transcript of one utterance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aista.selection.bootstrap import Estimate
from aista.selection.pair_transport import mismatched_pairs, sums_by_speech
from aista.selection.state_measures import KeptStates, StateMeasure, unit, weighted_estimate

__all__ = ["AlignmentPath", "ordered_path_similarity"]


@dataclass(frozen=True)
class AlignmentPath(StateMeasure):
    """Alignment path: each transcript token's nearest speech state, and whether these follow the tokens' order.

    The alignment path of Xiang et al. (EMNLP 2025, arXiv 2510.12116) takes one speech position for each token of the
    transcript, by the similarities between all states of both. Its score is the mean similarity along it, by cosine or
    by Euclidean distance; Spearman's correlation of the positions with the tokens' order shows that it is monotone.
    We know it from the abstract and a summary only, without code: that the position is the nearest one is our
    interpretation, and we score single layers where they compare models.

    - ``path_cosine = mean_t max_p cos(x_p, y_t)``, ``path_distance = mean_t min_p |x_p - y_t|``;
    - ``path_order``: Spearman's correlation of t with the position of the largest cosine, mean over utterances; 0 where
      all tokens have the same position, utterances of one token left out;
    - ``path_contrast``, ours: the mean cosine along the best *ordered* path (positions never go back) of true pairs,
      minus that of mismatched ones. A cosine alone is largest where all states lie in a narrow cone; there the
      contrast is 0.

    Cost: ``(1 + mismatches) P T D`` multiplications per utterance and layer.

    Attributes:
        mismatches: Other transcripts that each utterance's speech is compared with.
    """

    mismatches: int = 4

    def __call__(self, kept: KeptStates, counts_RN: Tensor | None) -> dict[str, Estimate]:
        size = len(kept.speech)
        others = mismatched_pairs(kept.groups, self.mismatches)
        if not len(others):
            raise ValueError(f"all {size} utterances have the same transcript; a path needs others to compare with")
        speech, text = ([unit(states, kept.device) for states in side] for side in (kept.speech, kept.text))
        cosine, distance, order, ordered = torch.zeros(4, size, dtype=torch.float64)
        for i in range(size):
            similarity_TP = text[i] @ speech[i].T
            best = similarity_TP.max(dim=1)
            cosine[i], order[i] = best.values.mean(), _spearman(best.indices.cpu())
            x, y = (side[i].to(kept.device).float() for side in (kept.speech, kept.text))
            distance[i] = torch.cdist(y, x).amin(1).mean()
            ordered[i] = ordered_path_similarity(similarity_TP)
        mismatched_K = [ordered_path_similarity(text[j] @ speech[i].T) for i, j in others.tolist()]
        sums_N, numbers_N = sums_by_speech(torch.tensor(mismatched_K, dtype=torch.float64), others, size)
        has_other = numbers_N > 0
        contrast_N = torch.where(has_other, ordered - sums_N / numbers_N.clamp_min(1), 0)
        ones, long = torch.ones(size), torch.tensor([len(states) > 1 for states in text])
        measures = {
            "path_cosine": weighted_estimate(cosine, ones, counts_RN),
            "path_distance": weighted_estimate(distance, ones, counts_RN),
            "path_contrast": weighted_estimate(contrast_N, has_other, counts_RN),
        }
        if bool(long.any()):
            measures["path_order"] = weighted_estimate(torch.where(long, order, 0), long, counts_RN)
        return measures


def ordered_path_similarity(similarity_TP: Tensor) -> float:
    """Mean similarity along the best monotone path, which takes a position for each token.

    ``max over p_1 <= ... <= p_T of mean_t S[t, p_t]``, by dynamic programming in ``T P``.
    """
    total_P = torch.zeros_like(similarity_TP[0])
    for row_P in similarity_TP:
        total_P = torch.cummax(total_P, dim=0).values + row_P
    return float(total_P.max()) / len(similarity_TP)


def _spearman(positions_T: Tensor) -> float:
    """Rank correlation of the positions with their order; 0 where they do not vary."""
    if len(positions_T) < 2:
        return 0.0
    ranks_T = _ranks(positions_T)
    order_T = torch.arange(len(positions_T), dtype=torch.float64)
    order_T, ranks_T = order_T - order_T.mean(), ranks_T - ranks_T.mean()
    size = float(ranks_T.norm() * order_T.norm())
    return float(ranks_T @ order_T) / size if size > 0 else 0.0


def _ranks(values_T: Tensor) -> Tensor:
    """Ranks from 0; equal values share their mean rank."""
    below = (values_T[None, :] < values_T[:, None]).sum(1).double()
    return below + ((values_T[None, :] == values_T[:, None]).sum(1).double() - 1) / 2
