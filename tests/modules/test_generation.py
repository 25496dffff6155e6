"""Beam search against brute force over a table of conditional probabilities."""

import itertools

import pytest
import torch

from aista.errors import RunError
from aista.modules.generation import beam_search
from aista.modules.llms.base import GenerationConfig

EOS, PAD = 2, 3


class TableDecoding:
    """A language model whose next-token logits are a random function of the row and all tokens so far."""

    def __init__(self, seeds, vocab):
        self.histories = [(seed,) for seed in seeds]
        self.vocab = vocab

    def logits(self):
        return torch.stack([table_logits(history, self.vocab) for history in self.histories])

    def step(self, tokens):
        self.histories = [(*h, t) for h, t in zip(self.histories, tokens.tolist(), strict=True)]
        return self.logits()

    def reorder(self, order):
        self.histories = [self.histories[i] for i in order.tolist()]


def table_logits(history, vocab):
    generator = torch.Generator().manual_seed(hash(history) % (2**31))
    return torch.randn(vocab, generator=generator) * 2


def search(seeds, vocab=5, **options):
    decoding = TableDecoding(seeds, vocab)
    num_tokens = options.pop("num_tokens", None)
    config = GenerationConfig(**options)
    return beam_search(decoding.logits(), decoding, config, eos_id=EOS, pad_id=PAD, num_tokens=num_tokens)


def log_probability(seed, ids, vocab):
    history, total = (seed,), 0.0
    for token in (*ids, EOS):
        total += float(table_logits(history, vocab).log_softmax(-1)[token])
        history = (*history, token)
    return total


def brute_force(seed, vocab, max_new_tokens, length_penalty):
    tokens = [t for t in range(vocab) if t not in (EOS, PAD)]
    scored = [
        (log_probability(seed, ids, vocab) / (n + 1) ** length_penalty, ids)
        for n in range(max_new_tokens)
        for ids in itertools.product(tokens, repeat=n)
    ]
    return sorted(scored, reverse=True)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_wide_beam_finds_the_best_sequences_of_brute_force(seed, length_penalty):
    best = brute_force(seed, 5, 4, length_penalty)
    found = search([seed], beam_size=500, max_new_tokens=4, length_penalty=length_penalty)[0]
    assert len(found) == len(best) == 1 + 3 + 9 + 27
    for hypothesis, (score, ids) in zip(found[:5], best[:5], strict=True):
        assert hypothesis.ids == ids
        assert hypothesis.score(length_penalty) == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("beam_size", [1, 2, 4])
def test_rows_do_not_depend_on_their_batch(beam_size):
    seeds = list(range(20, 28))
    together = search(seeds, vocab=9, beam_size=beam_size, max_new_tokens=12)
    alone = [search([seed], vocab=9, beam_size=beam_size, max_new_tokens=12)[0] for seed in seeds]
    assert [[h.ids for h in row] for row in together] == [[h.ids for h in row] for row in alone]
    assert len({len(row[0].ids) for row in together}) > 1, "rows must end at different steps for this test to bite"


def test_beam_of_one_is_greedy_search():
    for seed in range(10):
        history, greedy = (seed,), []
        while len(greedy) < 7:
            logits = table_logits(history, 6)
            logits[PAD] = -torch.inf
            token = int(logits.argmax())
            if token == EOS:
                break
            greedy.append(token)
            history = (*history, token)
        (hypothesis,) = search([seed], vocab=6, beam_size=1, max_new_tokens=8)[0]
        assert list(hypothesis.ids) == greedy


def test_scores_count_eos_and_divide_by_the_length():
    for hypothesis in search([5], vocab=7, beam_size=4, max_new_tokens=6, length_penalty=0.7)[0]:
        total = log_probability(5, hypothesis.ids, 7)
        assert hypothesis.log_probability == pytest.approx(total, abs=1e-4)
        assert hypothesis.score(0.7) == pytest.approx(total / (len(hypothesis.ids) + 1) ** 0.7, abs=1e-5)


def test_pad_and_ids_beyond_the_vocabulary_never_come_out():
    rows = search(range(30), vocab=8, beam_size=3, max_new_tokens=6, num_tokens=6)
    ids = {token for row in rows for hypothesis in row for token in hypothesis.ids}
    assert ids
    assert ids <= {0, 1, 4, 5}


@pytest.mark.parametrize("max_new_tokens", [1, 3])
def test_every_row_ends_though_eos_is_unlikely(max_new_tokens):
    class Endless(TableDecoding):
        def logits(self):
            return super().logits().index_fill(1, torch.tensor([EOS]), -30.0)

    decoding = Endless([1, 2], 6)
    config = GenerationConfig(beam_size=2, max_new_tokens=max_new_tokens)
    rows = beam_search(decoding.logits(), decoding, config, eos_id=EOS, pad_id=PAD)
    assert all(len(h.ids) == max_new_tokens - 1 for row in rows for h in row)
    assert all(rows)


def test_pad_that_is_eos_still_ends_hypotheses():
    decoding = TableDecoding([1], 5)
    config = GenerationConfig(beam_size=2, max_new_tokens=5)
    rows = beam_search(decoding.logits(), decoding, config, eos_id=EOS, pad_id=EOS)
    assert all(EOS not in h.ids for h in rows[0])
    assert len(rows[0]) >= 2


def test_nan_is_reported():
    decoding = TableDecoding([1], 5)
    with pytest.raises(RunError, match="not a number"):
        beam_search(torch.full((1, 5), torch.nan), decoding, GenerationConfig(), eos_id=EOS, pad_id=PAD)


def test_every_hypothesis_that_ended_is_returned_best_first():
    """Also those beyond ``beam_size`` that end in the last step: another length penalty may prefer one of them."""
    sizes = set()
    for seed in range(40):
        for penalty in (0.0, 1.0, 3.0):
            found = search([seed], vocab=6, beam_size=3, max_new_tokens=7, length_penalty=penalty)[0]
            scores = [hypothesis.score(penalty) for hypothesis in found]
            assert scores == sorted(scores, reverse=True)
            assert len({hypothesis.ids for hypothesis in found}) == len(found)
            sizes.add(len(found))
    assert sizes == {3, 4, 5}


@pytest.mark.parametrize("penalty", [-1.0, 0.0, 0.6, 1.4, 5.0])
def test_ranking_one_search_anew_is_searching_with_another_length_penalty(penalty):
    seeds = range(60)
    once = search(seeds, vocab=9, beam_size=4, max_new_tokens=10)
    anew = search(seeds, vocab=9, beam_size=4, max_new_tokens=10, length_penalty=penalty)
    ranked = [sorted(row, key=lambda item: -item.score(penalty)) for row in once]
    assert [[h.ids for h in row] for row in ranked] == [[h.ids for h in row] for row in anew]
    if penalty in (-1.0, 5.0):
        assert [row[0].ids for row in once] != [row[0].ids for row in anew], "else the test shows nothing"


def test_a_length_penalty_that_no_float_holds_is_refused():
    with pytest.raises(ValueError, match="length_penalty: must be at most 10"):
        GenerationConfig(length_penalty=1000)
