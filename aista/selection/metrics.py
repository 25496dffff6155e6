"""Cross-modal retrieval: MRR and recall@k from similarities.

Rules, the same for every caller:

- Similarity is the cosine of the pooled states, computed in fp64, unless the caller gives another.
- Ties (similarities that differ by at most ``TIE``) are broken at random *in expectation*: the score is the
  mean over all orders of the tied candidates. States that collapsed to one point therefore score
  exactly chance, in MRR and in every recall@k.
- Candidates of a query are all utterances of the set. Another utterance with the *same transcript*
  is neither right nor wrong and is left out of the query's candidates.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "DIRECTIONS",
    "SCORES",
    "TIE",
    "Ranking",
    "RetrievalScores",
    "ScoreSet",
    "chance",
    "check_pairs",
    "mean_reciprocal",
    "rank",
    "ranks_of_partner",
    "rivals",
]

SCORES = ("mrr", "recall@1", "recall@5", "recall@10")
DIRECTIONS = ("both", "speech_to_text", "text_to_speech")
TIE = 1e-9  # cosines this close come from angles below 5e-5, which is rounding of half-precision states


@dataclass(frozen=True)
class ScoreSet:
    """Mean reciprocal rank and recall@k, each in [0, 1]."""

    mrr: float
    recall_1: float
    recall_5: float
    recall_10: float

    def value(self, score: str) -> float:
        """The score by its name, one of ``SCORES``. Raises ValueError for another name."""
        if score not in SCORES:
            raise ValueError(f"unknown retrieval score {score!r}; known: {', '.join(SCORES)}")
        return float(getattr(self, score.replace("@", "_")))


@dataclass(frozen=True)
class RetrievalScores:
    """Scores of one layer.

    Attributes:
        speech_to_text: Speech states query text states.
        text_to_speech: Text states query speech states.
        chance: Scores of a random ranking.
    """

    speech_to_text: ScoreSet
    text_to_speech: ScoreSet
    chance: ScoreSet

    @property
    def both(self) -> ScoreSet:
        """The mean of the two directions."""
        return _mean([self.speech_to_text, self.text_to_speech])

    def value(self, score: str, direction: str = "both") -> float:
        """A score of a direction, by their names. Raises ValueError for unknown names."""
        if direction not in DIRECTIONS:
            raise ValueError(f"unknown direction {direction!r}; known: {', '.join(DIRECTIONS)}")
        return getattr(self, direction).value(score)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Ranking:
    """Retrieval scores, and the contribution of each utterance.

    Attributes:
        scores: Means over the utterances.
        values_N4: fp64 scores of each utterance in the order of ``SCORES``, the mean of its two queries.
    """

    scores: RetrievalScores
    values_N4: Tensor


def chance(num_candidates: int) -> ScoreSet:
    """Expected scores if the candidates came in random order: MRR = H_n / n, recall@k = min(k, n) / n."""
    if num_candidates < 1:
        raise ValueError(f"num_candidates must be at least 1, got {num_candidates}")
    n = num_candidates
    mrr = sum(1.0 / rank for rank in range(1, n + 1)) / n
    return ScoreSet(mrr, 1 / n, min(5, n) / n, min(10, n) / n)


def check_pairs(speech_ND: Tensor, text_ND: Tensor, groups: Sequence[Hashable] | None = None) -> None:
    """Raise ValueError unless the rows are at least two pairs of finite states with a label each.

    A NaN would lose every comparison, and so rank its partner first.
    """
    if speech_ND.shape != text_ND.shape or speech_ND.ndim != 2:
        raise ValueError(f"expects two [N, D] tensors, got {tuple(speech_ND.shape)} and {tuple(text_ND.shape)}")
    if len(speech_ND) < 2:
        raise ValueError(f"retrieval needs at least 2 utterances, got {len(speech_ND)}")
    if groups is not None and len(groups) != len(speech_ND):
        raise ValueError(f"groups must name each of the {len(speech_ND)} rows, got {len(groups)}")
    for name, states_ND in (("speech", speech_ND), ("text", text_ND)):
        broken = int((~states_ND.isfinite()).any(dim=1).sum())
        if broken:
            raise ValueError(f"{name} states of {broken} of {len(states_ND)} utterances are not finite (NaN or inf)")


def rank(similarity_NN: Tensor, groups: Sequence[Hashable] | None = None, *, tie: float = TIE) -> Ranking:
    """Retrieval scores of any similarity, finite and of at least two utterances.

    Args:
        similarity_NN: ``[N, N]`` of speech i with text j; partners on the diagonal.
        groups: N labels; rows with equal labels hold the same transcript. None: all differ.
        tie: Similarities that differ by at most this are tied.
    """
    rival_NN = rivals(groups, len(similarity_NN), similarity_NN.device)
    counts = (rival_NN.sum(dim=1) + 1).tolist()
    by_count = {count: chance(count) for count in set(counts)}
    asking = _score(similarity_NN, rival_NN, tie)
    asked = _score(similarity_NN.T, rival_NN, tie)
    scores = RetrievalScores(
        speech_to_text=ScoreSet(*asking.mean(dim=0).tolist()),
        text_to_speech=ScoreSet(*asked.mean(dim=0).tolist()),
        chance=_mean([by_count[count] for count in counts]),
    )
    return Ranking(scores, (asking + asked) / 2)


def rivals(groups: Sequence[Hashable] | None, size: int, device: torch.device) -> Tensor:
    """``[N, N]`` True where candidate j competes with the partner of query i."""
    numbers: dict[Hashable, int] = {}
    labels = range(size) if groups is None else [numbers.setdefault(group, len(numbers)) for group in groups]
    label_N = torch.tensor(list(labels), device=device)
    return label_N[:, None] != label_N[None, :]


def ranks_of_partner(own_Q: Tensor, similarity_QC: Tensor, rival_QC: Tensor, tie: float) -> tuple[Tensor, Tensor]:
    """``[Q]`` the first and the last rank that each query's partner can have: between them all are as likely.

    Args:
        own_Q: Similarity of each query to its partner.
        similarity_QC: To all candidates.
        rival_QC: Whether a candidate competes with the partner; the partner itself does not.
        tie: Similarities that differ by at most this are tied.
    """
    margin_QC = similarity_QC - own_Q[:, None]
    first_Q = ((margin_QC > tie) & rival_QC).sum(dim=1) + 1
    return first_Q, ((margin_QC >= -tie) & rival_QC).sum(dim=1) + 1


def mean_reciprocal(first_Q: Tensor, last_Q: Tensor) -> Tensor:
    """``[Q]`` fp64 mean of ``1 / r`` over the ranks r from first to last."""
    ranks = torch.arange(1, int(last_Q.max()) + 1, dtype=torch.float64, device=last_Q.device)
    harmonic = torch.nn.functional.pad(1 / ranks, (1, 0)).cumsum(0)
    return (harmonic[last_Q] - harmonic[first_Q - 1]) / (last_Q - first_Q + 1)


def _score(similarity_NN: Tensor, rival_NN: Tensor, tie: float) -> Tensor:
    """``[N, 4]`` fp64: expected reciprocal rank and recall@1, 5, 10 of each row's query."""
    first_N, last_N = ranks_of_partner(similarity_NN.diagonal(), similarity_NN, rival_NN, tie)
    recall = [((k + 1 - first_N.double()) / (last_N - first_N + 1)).clamp(0, 1) for k in (1, 5, 10)]
    return torch.stack([mean_reciprocal(first_N, last_N), *recall], dim=1)


def _mean(sets: Sequence[ScoreSet]) -> ScoreSet:
    return ScoreSet(*(sum(item.value(score) for item in sets) / len(sets) for score in SCORES))
