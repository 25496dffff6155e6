"""Ranking under other length penalties: which candidate wins, what is counted, and which exponent is proposed."""

import pytest

from aista.scoring.base import Score
from aista.scoring.candidates import Candidate
from aista.scoring.length_sweep import LengthSweep, SweepPoint, sweep_length_penalty

SHORT, LONG = Candidate("short", -1.0, -2.0, 2), Candidate("a long one", -0.75, -3.0, 4)
ONLY = Candidate("only", -1.0, -1.0, 1)


def length_score(texts):
    return [Score("words", float(sum(len(text.split()) for text in texts)), "", True)]


def test_long_candidates_win_under_a_large_exponent():
    sweep = sweep_length_penalty([0.0, 2.0], [(LONG, SHORT), (ONLY,)], length_score, own=1.0)
    assert [point.length_penalty for point in sweep.points] == [0.0, 1.0, 2.0]
    assert [point.scores[0].value for point in sweep.points] == [2, 4, 4]
    assert [point.mean_tokens for point in sweep.points] == [1.5, 2.5, 2.5]
    assert [point.changed_rows for point in sweep.points] == [1, 0, 0]
    assert sweep.best.length_penalty == 1.0, "of equal scores the search's own exponent"
    assert sweep.table()[1] == ["0", "2.00", "1.5", "1"]


@pytest.mark.parametrize(("higher_is_better", "best"), [(True, 2.0), (False, 0.5)])
def test_the_best_is_the_lowest_error_rate_too(higher_is_better, best):
    points = [SweepPoint(x, (Score("m", x, "", higher_is_better),), 1.0, 0) for x in (0.5, 1.0, 2.0)]
    assert LengthSweep(1.0, tuple(points)).best.length_penalty == best


def test_it_is_what_was_written():
    sweep = sweep_length_penalty([0.0], [(LONG, SHORT)], length_score, own=1.0)
    assert LengthSweep.of(sweep.to_json()) == sweep
