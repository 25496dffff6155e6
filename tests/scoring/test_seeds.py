import numpy as np
import pytest

from aista.registry import build
from aista.schema import resolve
from aista.scoring.seeds import combine_seeds
from aista.scoring.significance import paired_bootstrap


@pytest.fixture
def wer():
    return build("metric", resolve("metric", "wer"), target_language="fr")


def make_texts(rng, size, error):
    return ["x" if rng.random() < error else "y" for _ in range(size)]


def compare(rng, wer, seeds, size, baseline_error, error, samples=200):
    references = ["y"] * size
    results = {}
    for seed in seeds:
        baseline, system = make_texts(rng, size, baseline_error), make_texts(rng, size, error)
        results[seed] = paired_bootstrap(
            ("base", baseline), {"new": system}, references, wer, samples=samples, seed=1
        ).system("new")
    return results


def test_against_numpy(wer):
    results = compare(np.random.default_rng(0), wer, (1, 2, 3), 60, 0.5, 0.3)
    combined = combine_seeds(results)
    observed = np.array([results[seed].difference for seed in (1, 2, 3)])
    samples = np.array([results[seed].differences for seed in (1, 2, 3)]).mean(0)
    assert combined.seeds == (1, 2, 3)
    assert combined.difference == pytest.approx(observed.mean())
    assert combined.spread == pytest.approx(observed.std(ddof=1))
    assert combined.differences == pytest.approx(tuple(observed))
    assert combined.seed_p_value == combined.seed_test.p_value >= 2 / 2**3
    beyond = (np.abs(samples - samples.mean()) >= abs(observed.mean())).sum()
    assert combined.p_value == pytest.approx((beyond + 1) / 201)
    assert combined.interval.low == pytest.approx(np.sort(samples)[5])
    assert combined.interval.high == pytest.approx(np.sort(samples)[194])


def test_one_seed_has_no_spread(wer):
    combined = combine_seeds(compare(np.random.default_rng(0), wer, (7,), 40, 0.5, 0.5))
    assert combined.spread is combined.seed_test is combined.seed_p_value is None


def test_equal_systems_have_p_one(wer):
    same = ["y", "x"] * 10
    result = paired_bootstrap(("base", same), {"new": same}, ["y"] * 20, wer, samples=50, seed=1).system("new")
    assert combine_seeds({1: result, 2: result}).p_value == 1.0


def test_equal_quality_is_called_significant_about_as_often_as_promised(wer):
    rng = np.random.default_rng(5)
    p_values = [combine_seeds(compare(rng, wer, (1, 2), 100, 0.4, 0.4, samples=100)).p_value for _ in range(200)]
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.10


def test_other_numbers_of_samples_are_refused(wer):
    rng = np.random.default_rng(0)
    few, many = (compare(rng, wer, (1,), 40, 0.5, 0.4, samples=count)[1] for count in (50, 60))
    with pytest.raises(ValueError, match=r"same bootstrap samples, got \[50, 60\]"):
        combine_seeds({1: few, 2: many})
    with pytest.raises(ValueError, match="no seed"):
        combine_seeds({})
