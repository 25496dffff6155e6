"""Retrieval among tokens and words."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from aista.selection.bootstrap import resample
from aista.selection.item_retrieval import TokenRetrieval, WordRetrieval, covered, expected_ranks
from aista.selection.metrics import chance, rank
from aista.selection.state_measures import KeptStates

DIM = 16


def kept(transcripts: list[list[int]], *, noise: float = 0.0, seed: int = 0) -> KeptStates:
    """Each token is spoken over two positions, its own direction plus noise; a position of silence lies between."""
    generator = torch.Generator().manual_seed(seed)
    vocabulary = torch.eye(DIM)
    states = KeptStates()
    for ids in transcripts:
        positions = [vocabulary[0]]
        for token in ids:
            positions += [vocabulary[token], 2 * vocabulary[token], vocabulary[0]]
        speech = torch.stack(positions)
        states.speech.append(speech + noise * torch.randn(speech.shape, generator=generator))
        states.text.append(vocabulary[ids])
        states.tokens.append(torch.tensor(ids))
        size = len(positions)
        spans = [[place, place + 1, (1 + 3 * place) / size, (3 + 3 * place) / size] for place in range(len(ids))]
        states.words.append(torch.tensor(spans))
    states.groups += [tuple(ids) for ids in transcripts]
    return states


TRANSCRIPTS = [[1, 2, 3], [4, 5], [2, 6, 7], [8, 9, 1, 10]]


def slow_token_mrr(states: KeptStates) -> float:
    """The definition, one query after the other."""
    cosine = torch.nn.functional.cosine_similarity
    tokens = [
        (i, int(token), y) for i, ids in enumerate(states.tokens) for token, y in zip(ids, states.text[i], strict=True)
    ]
    values = []
    for owner, token, y in tokens:
        nearest = [float(cosine(x, y[None], dim=1).max()) for x in states.speech]
        own = nearest[owner]
        rivals = [nearest[i] for i, ids in enumerate(states.tokens) if token not in ids.tolist()]
        among_utterances = 1 / (1 + sum(value > own + 1e-6 for value in rivals))
        others = [
            float(cosine(states.speech[owner], other[None], dim=1).max())
            for _, id, other in tokens
            if id not in states.tokens[owner].tolist()
        ]
        values.append((among_utterances + 1 / (1 + sum(value > own + 1e-6 for value in others))) / 2)
    return sum(values) / len(values)


@pytest.mark.parametrize("measure", [TokenRetrieval(), WordRetrieval()])
def test_spoken_tokens_are_found(measure: TokenRetrieval | WordRetrieval) -> None:
    name = "token" if isinstance(measure, TokenRetrieval) else "word"
    found = measure(kept(TRANSCRIPTS), None)
    assert found[f"{name}_mrr"].value == pytest.approx(1)
    assert found[f"{name}_chance"].value < 0.5
    noisy = measure(kept(TRANSCRIPTS, noise=3.0), None)
    assert noisy[f"{name}_mrr"].value < 0.9


def test_the_token_measure_is_its_definition() -> None:
    for noise in (0.5, 1.0, 3.0):
        states = kept(TRANSCRIPTS, noise=noise, seed=3)
        assert TokenRetrieval()(states, None)["token_mrr"].value == pytest.approx(slow_token_mrr(states))


@pytest.mark.parametrize("measure", [TokenRetrieval(), WordRetrieval()])
def test_collapsed_states_score_chance(measure: TokenRetrieval | WordRetrieval) -> None:
    states = kept(TRANSCRIPTS)
    for side in (states.speech, states.text):
        side[:] = [torch.ones_like(part) for part in side]
    found = measure(states, None)
    value, random_order = found.values()
    assert value.value == pytest.approx(random_order.value)


def test_words_need_their_own_places_and_tokens_do_not() -> None:
    """With the times of other words the words are lost; the tokens are found where they are."""
    states = kept([[1, 2], [3, 4], [5, 6]])
    for spans in states.words:
        spans[:, 2:] = spans.flip(0)[:, 2:].clone()
    assert WordRetrieval()(states, None)["word_mrr"].value < 0.6
    assert TokenRetrieval()(states, None)["token_mrr"].value == pytest.approx(1)


def test_without_times_or_tokens_there_is_no_measure() -> None:
    states = kept(TRANSCRIPTS)
    states.words[:] = [spans[:0] for spans in states.words]
    assert WordRetrieval()(states, None) == {}
    states.tokens.clear()
    assert TokenRetrieval()(states, None) == {}


def test_an_utterance_is_drawn_with_all_its_queries() -> None:
    states = kept(TRANSCRIPTS, noise=2.0)
    found = TokenRetrieval()(states, resample(4, 200))["token_mrr"]
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    alone = torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64)
    once = TokenRetrieval()(states, alone)["token_mrr"]
    assert once.low == once.high


def test_fewer_candidates_are_drawn_the_same_way_each_time() -> None:
    states = kept(TRANSCRIPTS, noise=1.0)
    assert TokenRetrieval(5)(states, None) == TokenRetrieval(5)(states, None)
    assert TokenRetrieval(5)(states, None)["token_chance"] != TokenRetrieval()(states, None)["token_chance"]


def test_states_that_are_not_finite_are_an_error() -> None:
    states = kept(TRANSCRIPTS)
    states.speech[2][0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        TokenRetrieval()(states, None)


def test_expected_ranks_agree_with_the_retrieval_of_utterances() -> None:
    generator = torch.Generator().manual_seed(0)
    similarity = torch.randn(9, 9, generator=generator, dtype=torch.float64).mul(2).round()  # with ties
    ranks = expected_ranks(similarity.diagonal(), similarity, ~torch.eye(9, dtype=torch.bool))
    assert float(ranks[:, 0].mean()) == pytest.approx(rank(similarity).scores.speech_to_text.mrr)
    assert ranks[:, 1].tolist() == pytest.approx([chance(9).mrr] * 9)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0.0, 0.5, 0.5), (0.25, 0.5, 1.0), (0.125, 0.375, 0.5), (0.3, 0.3, 1.0), (1.0, 1.0, 3.0), (0.0, 1.0, 1.5)],
)
def test_a_span_takes_each_state_by_the_part_that_it_covers(start: float, end: float, expected: float) -> None:
    states: Tensor = torch.arange(4.0)[:, None]
    assert float(covered(states, start, end)) == pytest.approx(expected)
    assert not math.isnan(float(covered(states[:1], start, end)))
