import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from aista.scoring.seed_test import seed_test

DIFFERENCES = st.lists(st.integers(-50, 50).map(lambda value: value / 10), min_size=2, max_size=8)


@given(DIFFERENCES)
@example([1.6, 3.2, -1.6, -3.2])  # their mean is 0, and so are those of other patterns but for rounding
def test_all_sign_patterns_are_counted(differences):
    signs = np.array(list(itertools.product((1, -1), repeat=len(differences))))
    means = np.abs((signs * np.array(differences)).mean(axis=1))
    expected = float((means >= abs(np.mean(differences)) - 1e-9).mean())
    assert seed_test(differences).p_value == pytest.approx(expected)


def test_one_direction_reaches_the_smallest_p_and_not_less():
    assert seed_test([3.3, 1.2, 3.2, 3.7, 3.1]).p_value == pytest.approx(2 / 2**5)
    assert seed_test([0.1 * k for k in range(1, 11)]).p_value == pytest.approx(2 / 2**10)


def test_the_t_interval_leaves_out_0_where_the_t_test_says_so():
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.5, 1.0):
        values = rng.normal(shift, 1, 12)
        result = seed_test(values.tolist())
        half = stats.t.ppf(0.975, 11) * values.std(ddof=1) / math.sqrt(12)
        assert (result.interval.low, result.interval.high) == pytest.approx(
            (values.mean() - half, values.mean() + half)
        )
        assert (result.t_p_value < 0.05) == (result.interval.low > 0 or result.interval.high < 0)


def test_equal_methods_are_called_different_as_often_as_promised():
    rng = np.random.default_rng(0)
    p_values = [seed_test(rng.normal(0, 1, 8).tolist()).p_value for _ in range(400)]
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.08


def test_many_seeds_draw_their_signs_and_repeat():
    values = np.random.default_rng(1).normal(0.4, 1, 24).tolist()
    first = seed_test(values)
    assert first == seed_test(values)
    assert first.p_value == pytest.approx(first.t_p_value, abs=0.02)


def test_constants():
    assert seed_test([0.0, 0.0]).p_value == 1.0
    constant = seed_test([1.5, 1.5, 1.5])
    assert constant.p_value == pytest.approx(2 / 2**3)
    assert (constant.interval.low, constant.interval.high) == (1.5, 1.5)
    assert math.isnan(constant.t_p_value)
    assert seed_test([2.0]) is None


@pytest.mark.parametrize("differences", [[], [1.0, math.nan], [math.inf, 2.0]])
def test_what_cannot_be_tested_is_refused(differences):
    with pytest.raises(ValueError, match="differences: expects at least one, all finite"):
        seed_test(differences)
