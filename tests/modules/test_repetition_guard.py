"""The repetition guard against a plain loop over n-grams, and what it says about the rows that it changed."""

import itertools

import pytest
import torch

from aista.modules.repetition_guard import RepetitionGuard
from tests.modules.test_generation import EOS, search, table_logits


def ngrams(ids, size):
    return [ids[start : start + size] for start in range(len(ids) - size + 1)]


def repeats(ids, size):
    return len(set(ngrams(ids, size))) < len(ngrams(ids, size))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_exactly_the_tokens_that_repeat_an_ngram_are_forbidden(size):
    tokens = torch.randint(4, (3, 2, 9))
    logp, scores = torch.randn(6, 4), torch.randn(3, 2)
    before = logp.clone()
    found = RepetitionGuard(size).forbid(logp, scores, tokens)
    expected = []
    for row, beam in itertools.product(range(3), range(2)):
        history = tuple(tokens[row, beam].tolist())
        for token in range(4):
            place = (row * 2 + beam, token)
            if (*history, token)[-size:] in ngrams(history, size):
                assert logp[place] == -torch.inf
                expected.append((row, float(scores[row, beam] + before[place])))
            else:
                assert logp[place] == before[place]
    pairs = [] if found is None else zip(found.rows.tolist(), found.scores.tolist(), strict=True)
    assert set(pairs) == set(expected)


def test_nothing_is_forbidden_before_there_is_an_ngram_and_where_it_is_off():
    tokens = torch.zeros(1, 1, 2, dtype=torch.long)
    for size in (0, 3):
        assert RepetitionGuard(size).forbid(torch.zeros(1, 4), torch.zeros(1, 1), tokens) is None


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("beam_size", [1, 4])
def test_no_hypothesis_repeats_an_ngram(beam_size, size):
    seeds = range(60)
    options = {"vocab": 5, "beam_size": beam_size, "max_new_tokens": 9}
    free, guarded = search(seeds, **options), search(seeds, **options, no_repeat_ngram=size)
    assert any(repeats(h.ids, size) for row in free for h in row), "else the test shows nothing"
    assert not any(repeats(h.ids, size) for row in guarded for h in row)
    for before, after in zip(free, guarded, strict=True):
        marks = {h.guarded for h in after}
        assert len(marks) == 1
        if [h.ids for h in before] != [h.ids for h in after]:
            assert marks == {True}


def test_greedy_search_is_marked_exactly_where_it_comes_out_otherwise():
    seeds = range(80)
    free = search(seeds, vocab=5, beam_size=1, max_new_tokens=9)
    guarded = search(seeds, vocab=5, beam_size=1, max_new_tokens=9, no_repeat_ngram=2)
    changed = [before[0].ids != after[0].ids for before, after in zip(free, guarded, strict=True)]
    assert [row[0].guarded for row in guarded] == changed
    assert len(set(changed)) == 2
    assert not any(row[0].guarded for row in free)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_rows_do_not_depend_on_their_batch(beam_size):
    seeds = range(30)
    options = {"vocab": 6, "beam_size": beam_size, "max_new_tokens": 9, "no_repeat_ngram": 1}
    together = search(seeds, **options)
    alone = [search([seed], **options)[0] for seed in seeds]
    assert [[(h.ids, h.guarded) for h in row] for row in together] == [
        [(h.ids, h.guarded) for h in row] for row in alone
    ]
    assert len({row[0].guarded for row in together}) == 2


def test_the_log_probability_is_the_model_s_own():
    for hypothesis in search([5], vocab=5, beam_size=3, max_new_tokens=8, no_repeat_ngram=1)[0]:
        history, total = (5,), 0.0
        for token in (*hypothesis.ids, EOS):
            total += float(table_logits(history, 5).log_softmax(-1)[token])
            history = (*history, token)
        assert hypothesis.log_probability == pytest.approx(total, abs=1e-4)


def test_a_search_that_has_used_every_token_ends():
    (found,) = search([1], vocab=5, beam_size=500, max_new_tokens=20, no_repeat_ngram=1)
    assert len(found) == 1 + 3 + 6 + 6, "every sequence of distinct tokens of three"
