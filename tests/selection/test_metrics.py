from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aista.selection.metrics import SCORES, RetrievalScores, ScoreSet, chance, check_pairs, rank
from aista.selection.similarity import cosine_matrix


def naive_direction(query: Tensor, answer: Tensor, groups: list[int]) -> ScoreSet:
    """Every order of the tied candidates, one after the other, by plain loops."""
    totals = dict.fromkeys(SCORES, 0.0)
    for i in range(len(query)):
        cosine = [float(torch.cosine_similarity(query[i].double(), a.double(), dim=0)) for a in answer]
        rivals = [j for j in range(len(answer)) if groups[j] != groups[i]]
        ahead = sum(cosine[j] > cosine[i] + 1e-9 for j in rivals)
        tied = sum(abs(cosine[j] - cosine[i]) <= 1e-9 for j in rivals)
        ranks = [ahead + 1 + order.index(0) for order in itertools.permutations(range(tied + 1))]
        totals["mrr"] += sum(1 / rank for rank in ranks) / len(ranks)
        for k in (1, 5, 10):
            totals[f"recall@{k}"] += sum(rank <= k for rank in ranks) / len(ranks)
    return ScoreSet(*(totals[score] / len(query) for score in SCORES))


def retrieval(speech: Tensor, text: Tensor, groups: list[Any] | None = None) -> RetrievalScores:
    """By cosine."""
    check_pairs(speech, text, groups)
    return rank(cosine_matrix(speech, text), groups).scores


def assert_equal(actual: ScoreSet, expected: ScoreSet) -> None:
    for score in SCORES:
        assert actual.value(score) == pytest.approx(expected.value(score), abs=1e-12), score


@given(st.integers(0, 10_000), st.integers(2, 9), st.booleans())
@settings(max_examples=60, deadline=None)
def test_agrees_with_the_naive_loop_with_ties_and_duplicates(seed: int, size: int, grouped: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Few distinct directions, so that exact ties are frequent.
    speech = torch.randint(-1, 2, (size, 2), generator=generator).float()
    text = torch.randint(-1, 2, (size, 2), generator=generator).float()
    groups = torch.randint(0, 3, (size,), generator=generator).tolist() if grouped else list(range(size))
    scores = retrieval(speech, text, groups)
    assert_equal(scores.speech_to_text, naive_direction(speech, text, groups))
    assert_equal(scores.text_to_speech, naive_direction(text, speech, groups))


@pytest.mark.parametrize("size", [2, 7, 40])
def test_collapsed_states_score_exactly_chance(size: int) -> None:
    states = torch.ones(size, 8) + 1e-7 * torch.randn(size, 8, generator=torch.Generator().manual_seed(0))
    scores = retrieval(states, torch.ones(size, 8))
    assert_equal(scores.both, chance(size))
    assert_equal(scores.chance, chance(size))


def test_zero_states_score_chance() -> None:
    assert_equal(retrieval(torch.zeros(6, 3), torch.zeros(6, 3)).both, chance(6))


def test_perfect_pairs_and_a_known_ranking() -> None:
    eye = torch.eye(12)
    assert retrieval(eye, eye).both == ScoreSet(1.0, 1.0, 1.0, 1.0)
    # Speech i points at text i + 1; its own partner ties with the ten others at cosine 0.
    shifted = retrieval(eye.roll(-1, dims=0), eye).speech_to_text
    assert shifted.recall_1 == 0
    assert shifted.mrr == pytest.approx(sum(1 / rank for rank in range(2, 13)) / 11)
    assert shifted.recall_5 == pytest.approx(4 / 11)


def test_the_directions_differ_and_both_is_their_mean() -> None:
    speech = torch.tensor([[1.0, 0.0], [1.0, 0.1]])
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    scores = retrieval(speech, text)
    assert scores.speech_to_text.mrr == 0.75
    assert scores.text_to_speech.mrr == 1.0
    assert scores.value("mrr") == pytest.approx(0.875)
    assert scores.value("mrr", "speech_to_text") == 0.75


def test_utterances_with_the_same_transcript_do_not_compete() -> None:
    states = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert retrieval(states, states, ["a", "a", "b"]).both.recall_1 == 1.0
    assert retrieval(states, states).both.recall_1 == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert retrieval(states, states, ["a", "a", "b"]).chance.recall_1 == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)


def test_norms_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(1)
    speech, text = torch.randn(20, 5, generator=generator), torch.randn(20, 5, generator=generator)
    scaled = retrieval(speech * torch.rand(20, 1, generator=generator) * 100, text)
    assert_equal(scaled.both, retrieval(speech, text).both)


def test_a_nan_is_an_error_and_not_a_perfect_rank() -> None:
    states = torch.randn(5, 3)
    broken = states.clone()
    broken[2, 1] = float("nan")
    with pytest.raises(ValueError, match="text states of 1 of 5 utterances are not finite"):
        retrieval(states, broken)


@pytest.mark.parametrize(
    ("speech", "text", "groups", "message"),
    [
        (torch.ones(1, 2), torch.ones(1, 2), None, "at least 2 utterances, got 1"),
        (torch.ones(3, 2), torch.ones(2, 2), None, r"\(3, 2\) and \(2, 2\)"),
        (torch.ones(3, 2), torch.ones(3, 2), ["a"], "each of the 3 rows, got 1"),
    ],
)
def test_impossible_inputs(speech: Tensor, text: Tensor, groups: list[str] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval(speech, text, groups)


def test_unknown_names() -> None:
    scores = retrieval(torch.eye(3), torch.eye(3))
    assert isinstance(scores, RetrievalScores)
    with pytest.raises(ValueError, match="'recall@3'; known: mrr, recall@1"):
        scores.value("recall@3")
    with pytest.raises(ValueError, match="'up'; known: both"):
        scores.value("mrr", "up")


def test_chance_is_the_mean_over_random_orders() -> None:
    assert chance(1) == ScoreSet(1.0, 1.0, 1.0, 1.0)
    four = chance(4)
    assert four.mrr == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert (four.recall_1, four.recall_5) == (0.25, 1.0)
    assert chance(100).recall_10 == pytest.approx(0.1)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        chance(0)
