"""Minimum Bayes risk against brute force with sacrebleu's own sentence scores."""

import math
import random

import numpy as np
import pytest
from sacrebleu.metrics.chrf import CHRF

from aista.errors import DataError
from aista.registry import build
from aista.schema import resolve
from aista.scoring.base import Metric
from aista.scoring.bayes_risk import expected_utilities, fold, rank_by_utility
from aista.scoring.candidates import Candidate
from aista.scoring.utterance_inputs import UtteranceInputs

WORDS = ["le", "la", "un", "une", "chat", "chien", "rouge", "grand", "petit", "dort", "court"]


def metric(name, **options):
    return build("metric", resolve("metric", {"name": name, "config": options}), target_language="fr")


def ranked(candidates, metric, scale):
    """The candidates of a single row."""
    (found,) = rank_by_utility([candidates], metric, scale)
    return found


def made_up(seed, count=6):
    """Different texts, best score first."""
    generator = random.Random(seed)
    texts = {" ".join(generator.choices(WORDS, k=generator.randint(1, 6))) for _ in range(count)}
    pairs = sorted(((-generator.uniform(0.5, 8), text) for text in sorted(texts)), reverse=True)
    return [Candidate(text, value / 3, value, 3) for value, text in pairs]


def brute_force(candidates, scale):
    """(expected utility, text) by sacrebleu's sentence scores, one pair at a time."""
    probabilities = [math.exp(scale * item.log_probability) for item in candidates]
    scored = []
    for item in candidates:
        utilities = [CHRF().sentence_score(item.text, [other.text]).score for other in candidates]
        expected = sum(p * u for p, u in zip(probabilities, utilities, strict=True)) / sum(probabilities)
        scored.append((expected, item.text))
    return scored


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_brute_force_ranks_alike(seed, scale):
    candidates = made_up(seed)
    found = ranked(candidates, metric("chrf"), scale)
    expected = sorted(brute_force(candidates, scale), reverse=True)
    assert [item.text for item in found] == [text for _, text in expected]
    assert [item.utility for item in found] == pytest.approx([value for value, _ in expected], abs=1e-6)


def test_the_choice_is_not_always_the_most_likely():
    chosen = [ranked(made_up(seed), metric("chrf"), 0.3)[0].text != made_up(seed)[0].text for seed in range(20)]
    assert len(set(chosen)) == 2


def test_a_large_scale_trusts_the_model_and_none_counts_all_alike():
    same = [Candidate("a b c", -0.1, -0.1, 1), Candidate("x y z", -9.0, -9.0, 1), Candidate("x y w", -9.0, -9.0, 1)]
    assert ranked(same, metric("chrf"), 100.0)[0].text == "a b c"
    assert ranked(same, metric("chrf"), 0.0)[0].text in ("x y z", "x y w")


def test_equal_texts_are_one_candidate_with_their_summed_weight():
    items = [Candidate("a", -1, -1, 1), Candidate("b", -2, -2, 1), Candidate("a", -3, -3, 3)]
    folded, weights = fold(items, 1.0)
    assert folded == [Candidate("a", -1, -1, 1, count=2), Candidate("b", -2, -2, 1, count=1)]
    total = math.exp(-1) + math.exp(-2) + math.exp(-3)
    assert weights == pytest.approx([(math.exp(-1) + math.exp(-3)) / total, math.exp(-2) / total])
    assert fold(items, 0.0)[1] == pytest.approx([2 / 3, 1 / 3])


def test_ties_go_to_the_better_score():
    items = [Candidate(text, -1.0, -5.0, 5) for text in ("ab cd", "wx yz")]  # nothing in common, equal weights
    assert ranked(items, metric("chrf"), 1.0)[0].text == "ab cd"
    assert ranked(items[::-1], metric("chrf"), 1.0)[0].text == "wx yz"


def test_lower_is_better_for_error_rates():
    items = [Candidate("a x", -1, -1.0, 1), Candidate("a b c", -1, -1.0, 1), Candidate("a b d", -1, -1.0, 1)]
    wer = metric("wer")
    found = ranked(items, wer, 0.0)
    by_hand = {a.text: sum(wer.score([a.text], [b.text]).value for b in items) / 3 for a in items}
    assert [item.utility for item in found] == pytest.approx(sorted(-value for value in by_hand.values())[::-1])
    assert found[0].text == min(by_hand, key=by_hand.get)


def test_a_text_that_the_metric_is_undefined_for_is_no_reference():
    (values,) = expected_utilities([["", "a b", "a c"]], [[0.5, 0.25, 0.25]], metric("wer"))
    assert values == pytest.approx([-50.0, -12.5, -12.5])
    empty = [Candidate("", -1, -1.0, 1), Candidate("!", -2, -2.0, 1)]
    assert [item.text for item in ranked(empty, metric("wer"), 1.0)] == ["", "!"]


def test_one_candidate_is_chosen():
    (found,) = ranked([Candidate("a b", -1, -2.0, 2)], metric("bleu"), 1.0)
    assert found.text == "a b"


class Sourced(Metric):
    """Share of a text's words that are in the reference, or 0 for a text that is the source."""

    name = "sourced"
    higher_is_better = True
    needs = ("source",)
    signature = ""

    def __init__(self):
        self.calls = []

    def statistics(self, hypotheses, references, source=()):
        self.calls.append(len(hypotheses))
        rows = zip(hypotheses, references, source, strict=True)
        shares = [
            (text != said) * sum(word in other.split() for word in text.split()) / len(text.split())
            for text, other, said in rows
        ]
        return np.array(shares)[:, None]

    def from_totals(self, totals):
        return float(totals[0])


def test_rows_are_ranked_by_one_call_with_the_source_of_each():
    rows = [
        [Candidate("le chat", -1, -1.0, 1), Candidate("le chien", -2, -2.0, 1)],
        [Candidate("un", -1, -1.0, 1)],
        [Candidate("le chat", -1, -1.0, 1), Candidate("le chien", -2, -2.0, 1)],
    ]
    sourced = Sourced()
    found = rank_by_utility(rows, sourced, 1.0, UtteranceInputs(source=["the cat", "one", "le chat"]))
    assert sourced.calls == [9]
    assert [items[0].text for items in found] == ["le chat", "un", "le chien"]
    likely = math.exp(-1) / (math.exp(-1) + math.exp(-2))
    assert [item.utility for item in found[2]] == pytest.approx([0.5 * likely + 1 - likely, 0])
    with pytest.raises(DataError, match="sourced: needs the transcript"):
        rank_by_utility(rows[:1], sourced, 1.0, UtteranceInputs(source=[""]))
