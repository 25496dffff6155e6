from __future__ import annotations

import numpy as np
import pytest
from sacrebleu.significance import PairedTest

from aista.errors import DataError
from aista.scoring.significance import Comparison, paired_bootstrap
from tests.scoring.helpers import corpus, make

REFERENCES, (BASE, CLOSE, BETTER) = corpus([0.3, 0.28, 0.15])
SYSTEMS = {"close": CLOSE, "better": BETTER}


def compare(name: str = "bleu", **options: int) -> Comparison:
    return paired_bootstrap(("base", BASE), SYSTEMS, REFERENCES, make(name), **options)


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_equals_sacrebleu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    ours = compare(name, samples=300)
    inner = make(name)._scorer  # type: ignore[attr-defined]
    named = [("base", BASE), *SYSTEMS.items()]
    signatures, table = PairedTest(named, {name: inner}, [REFERENCES], "bs", 300)()
    (label,) = signatures
    for system, theirs in zip(ours.systems, table[label], strict=True):
        assert system.score == pytest.approx(theirs.score, abs=1e-9)
        assert system.p_value == theirs.p_value
        assert (system.interval.high - system.interval.low) / 2 == pytest.approx(theirs.ci, abs=1e-4)
    assert set(ours.signature.split("|")) == set(str(signatures[label]).split("|"))


def test_the_environment_does_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compare(samples=100)
    monkeypatch.setenv("SACREBLEU_SEED", "99")
    assert compare(samples=100) == before
    monkeypatch.setenv("SACREBLEU_SEED", "none")
    assert compare(samples=100) == before
    assert compare(samples=100, seed=99) != before
    assert compare(samples=100, seed=0) == compare(samples=100, seed=0)


def test_chunks_draw_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare(samples=100)
    monkeypatch.setattr("aista.scoring.significance.CHUNK", 7 * len(BASE))
    assert compare(samples=100) == whole


@pytest.mark.parametrize("name", ["bleu", "chrf", "wer", "cer"])
def test_finds_the_better_system(name: str) -> None:
    comparison = compare(name, samples=200)
    better = comparison.system("better")
    sign = 1 if comparison.higher_is_better else -1
    assert better.p_value is not None
    assert better.p_value < 0.02
    assert sign * better.difference > 0
    assert min(sign * better.difference_interval.low, sign * better.difference_interval.high) > 0
    close = comparison.system("close")
    assert close.p_value is not None
    assert close.p_value > 0.05
    assert comparison.baseline.p_value is None
    assert comparison.baseline.difference == 0
    assert len(better.differences) == 200
    assert better.difference == pytest.approx(better.score - comparison.baseline.score)


def test_equal_systems_do_not_differ() -> None:
    comparison = paired_bootstrap(("a", BASE), {"b": list(BASE)}, REFERENCES, make("bleu"), samples=50)
    system = comparison.system("b")
    assert (system.difference, system.p_value) == (0, 1.0)
    assert system.difference_interval.low == system.difference_interval.high == 0


def test_no_difference_in_any_sample_is_no_significance() -> None:
    """Both systems miss every word, each in its own way: BLEU is 0.0 throughout."""
    left, right = (["".join(letters)] * 60 for letters in ("xy", "zw"))
    comparison = paired_bootstrap(("a", left), {"b": right}, ["la maison"] * 60, make("bleu"), samples=50)
    system = comparison.system("b")
    assert (system.score, system.difference, system.p_value) == (0.0, 0.0, 1.0)


def test_one_utterance_shows_no_significance() -> None:
    comparison = paired_bootstrap(("a", ["x y"]), {"b": ["a b"]}, ["a b"], make("wer"), samples=50)
    assert (comparison.system("b").difference, comparison.system("b").p_value) == (-100.0, 1.0)


def test_false_alarms_are_rare_without_a_true_difference() -> None:
    # Systems of the same quality: p < 0.05 comes up once in ten times (one-sided test, both signs).
    references, systems = corpus([0.3] * 60, size=60)
    values = []
    for left, right in zip(systems[::2], systems[1::2], strict=True):
        comparison = paired_bootstrap(("a", left), {"b": right}, references, make("wer"), samples=100)
        values.append(comparison.system("b").p_value)
    assert np.mean([value is not None and value < 0.05 for value in values]) <= 0.25


def test_impossible_comparisons() -> None:
    metric = make("bleu")
    with pytest.raises(DataError, match=r"system 'short': .* 1 hypotheses and 120 references"):
        paired_bootstrap(("a", BASE), {"short": ["x"]}, REFERENCES, metric)
    with pytest.raises(DataError, match=r"at least one system beside the baseline 'a', .* got none"):
        paired_bootstrap(("a", BASE), {}, REFERENCES, metric)
    with pytest.raises(DataError, match="its own label; got 'a'"):
        paired_bootstrap(("a", BASE), {"a": BASE}, REFERENCES, metric)
    with pytest.raises(DataError, match=r"system 'a': .*empty corpus"):
        paired_bootstrap(("a", []), {"b": []}, [], metric)
    with pytest.raises(ValueError, match="at least 40 samples and a seed of at least 0, got 10 and 1"):
        paired_bootstrap(("a", BASE), {"b": BASE}, REFERENCES, metric, samples=10, seed=1)


def test_samples_without_any_reference_word() -> None:
    with pytest.raises(DataError, match="wer is undefined in some bootstrap samples: 2 utterances are too few"):
        paired_bootstrap(("a", ["x", "y"]), {"b": ["x", "z"]}, ["x", "..."], make("wer"))
