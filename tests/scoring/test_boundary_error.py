"""Errors of word times against a reference."""

import numpy as np
import pytest

from aista.errors import DataError
from aista.scoring.boundary_error import boundary_errors


def test_figures_are_those_of_a_hand_count():
    reference = [(0.0, 0.5), (0.5, 1.0), None, (2.0, 3.0)]
    times = [(0.02, 0.45), (0.5, 1.2), (1.0, 2.0), None]
    errors = boundary_errors([(times, reference), ([], []), ([], [(0.0, 1.0)]), ([(0.0, 1.0)], [])])
    assert (errors.num_words, errors.only_here, errors.only_reference) == (2, 2, 2)
    assert (errors.start.median, errors.start.mean, errors.start.bias) == pytest.approx((10, 10, 10))
    assert (errors.end.median, errors.end.mean, errors.end.bias) == pytest.approx((125, 125, 75))
    assert errors.start.within == (1.0, 1.0, 1.0)
    assert errors.end.within == (0.0, 0.5, 0.5)
    assert errors.both.p95 == pytest.approx(np.percentile([20, 0, 50, 200], 95))
    assert "2 words compared (2 timed only here, 2 only in the reference)" in str(errors)
    assert errors.to_json()["both"]["median"] == pytest.approx(35)


def test_equal_times_have_no_error():
    times = [(0.1, 0.2), (0.3, 0.4)]
    errors = boundary_errors([(times, times)])
    assert (errors.both.mean, errors.both.p95, errors.both.bias) == (0, 0, 0)
    assert errors.both.within == (1, 1, 1)


def test_bias_has_the_sign_of_a_delay():
    reference = [(0.1 * index, 0.1 * index + 0.05) for index in range(9)]
    late = [(start + 0.03, end + 0.03) for start, end in reference]
    assert boundary_errors([(late, reference)]).both.bias == pytest.approx(30)
    assert boundary_errors([(reference, late)]).both.bias == pytest.approx(-30)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="the same words, got 1 and 2"):
        boundary_errors([([(0, 1)], [(0, 1), None])])
    with pytest.raises(DataError, match=r"no word has a time on both sides \(1 here, 1 in the reference\)"):
        boundary_errors([([(0, 1)], []), ([], [(0, 1)])])
