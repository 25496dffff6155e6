from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aista.data.audio import read_audio
from aista.scoring.base import Metric
from aista.scoring.utterance_inputs import NO_INPUTS
from aista.testing import metric as contract


class Correct(Metric):
    """Share of words that stand where the reference has them, in per cent."""

    name = "hits"
    higher_is_better = True
    signature = "hits|v1"

    def statistics(self, hypotheses, references):
        pairs = [(h.split(), r.split()) for h, r in zip(hypotheses, references, strict=True)]
        return np.array([[sum(a == b for a, b in zip(h, r, strict=False)), len(r)] for h, r in pairs], dtype=np.float64)

    def from_totals(self, totals):
        return 100 * totals[0] / totals[1]


class Errors(Correct):
    higher_is_better = False

    def from_totals(self, totals):
        return 100 - super().from_totals(totals)


class ExactMatch(Correct):
    """Share of utterances that equal their reference: nothing for one that is nearly right."""

    def statistics(self, hypotheses, references):
        return np.array([[h == r, 1] for h, r in zip(hypotheses, references, strict=True)], dtype=np.float64)


class Constant(Correct):
    def from_totals(self, totals):
        return 50.0


class WorstInTheMiddle(Correct):
    """Some right words are worse than none."""

    def from_totals(self, totals):
        share = super().from_totals(totals)
        return share if share in (0, 100) else -share


class FlatStatistics(Correct):
    def statistics(self, hypotheses, references):
        return super().statistics(hypotheses, references).ravel()


class Integers(Correct):
    def statistics(self, hypotheses, references):
        return super().statistics(hypotheses, references).astype(int)


class Unsigned(Correct):
    signature = ""


class Misnamed(Correct):
    def score(self, hypotheses, references, inputs=NO_INPUTS):
        self.name, name = "other", self.name
        score = super().score(hypotheses, references, inputs)
        self.name = name
        return score


class CountsTheBatch(Correct):
    def statistics(self, hypotheses, references):
        return super().statistics(hypotheses, references) + np.array([len(hypotheses), 0.0])


class WrongWay(Correct):
    higher_is_better = False


class AcceptsAnything(Correct):
    def score(self, hypotheses, references, inputs=NO_INPUTS):
        count = min(len(hypotheses), len(references)) or 1
        return super().score((hypotheses or ["x"])[:count], (references or ["x"])[:count])


class ReadsTheSource(Correct):
    """Untranslated words of the source count as wrong."""

    needs = ("source",)

    def statistics(self, hypotheses, references, source=()):
        found = super().statistics(hypotheses, references)
        left = [len(set(h.split()) & set(s.split()) - {"."}) for h, s in zip(hypotheses, source, strict=True)]
        return found - np.outer(left, [1.0, 0.0])


class ListensToo(ReadsTheSource):
    """Hypotheses must be shorter in words than the recording is in samples."""

    needs = ("source", "audio")

    def statistics(self, hypotheses, references, source=(), audio=()):
        samples = [len(read_audio(path, Path("/"), 16_000)) for path in audio]
        found = super().statistics(hypotheses, references, source)
        return found * np.array([[len(h.split()) < n] for h, n in zip(hypotheses, samples, strict=True)])


class GuessesTheSource(ReadsTheSource):
    def score(self, hypotheses, references, inputs=NO_INPUTS):
        return super().score(hypotheses, references, replace(inputs, source=inputs.source or references))


CASES = [
    (contract.check_shapes, FlatStatistics, r"statistics must be \[3, K\], got \[6\]"),
    (contract.check_shapes, Integers, "statistics must be float64, got int64"),
    (contract.check_shapes, Unsigned, "the score has no signature"),
    (contract.check_shapes, Misnamed, "the score is named 'other', the metric 'hits'"),
    (contract.check_additive, CountsTheBatch, "scored row by row it is"),
    (
        contract.check_direction,
        WrongWay,
        "with higher_is_better=False, perfect, imperfect and wrong texts must rank so",
    ),
    (contract.check_direction, Constant, r"got 50\.00, 50\.00, 50\.00"),
    (contract.check_direction, WorstInTheMiddle, r"got 100\.00, -\d+\.\d+, 0\.00"),
    (contract.check_rejects, AcceptsAnything, "an empty corpus must raise DataError"),
    (contract.check_needs, GuessesTheSource, "utterances without source must raise DataError"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_metric_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("correct", [Correct, Errors, ExactMatch, ReadsTheSource, ListensToo])
@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_metric_passes(check, correct):
    check(correct())


@pytest.mark.parametrize("needs", [("sources",), ["source"], "source"])
def test_needs_are_checked_where_a_class_is_defined(needs):
    with pytest.raises(TypeError, match=r"Odd\.needs must be a tuple of names among source, audio, direction, got"):
        type("Odd", (Correct,), {"needs": needs})
