"""What words get of the gaps between their tokens."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.data.word_boundaries import Reach, TimedToken, word_boundaries

HALVES = Reach(share=0.5, before=0.2, behind=0.2)


def test_a_gap_is_split_between_its_neighbours():
    tokens = [TimedToken(0, 0.10, 0.14), TimedToken(0, 0.30, 0.34), TimedToken(1, 0.54, 0.58)]
    assert word_boundaries(tokens, 2, 0.7, HALVES) == [
        pytest.approx((0.0, 0.44)),
        pytest.approx((0.44, 0.70)),
    ]


def test_the_share_moves_the_boundary():
    tokens = [TimedToken(0, 0.2, 0.3), TimedToken(1, 0.4, 0.5)]
    (_, end), (start, _) = word_boundaries(tokens, 2, 1.0, Reach(share=0.75, before=1, behind=1))
    assert end == pytest.approx(start) == pytest.approx(0.375)


def test_silence_belongs_to_no_word():
    tokens = [TimedToken(0, 1.0, 1.1), TimedToken(1, 3.0, 3.1)]
    assert word_boundaries(tokens, 2, 9.0, Reach(share=0.5, before=0.1, behind=0.3)) == [
        pytest.approx((0.9, 1.4)),
        pytest.approx((2.9, 3.4)),
    ]


def test_words_without_tokens_have_no_time_and_leave_their_gap_to_the_others():
    tokens = [TimedToken(1, 0.2, 0.3), TimedToken(3, 0.5, 0.6)]
    assert word_boundaries(tokens, 5, 0.6, HALVES) == [
        None,
        pytest.approx((0.0, 0.4)),
        None,
        pytest.approx((0.4, 0.6)),
        None,
    ]
    assert word_boundaries([], 2, 1.0) == [None, None]


@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0.01, 0.3), st.booleans()), min_size=1, max_size=8),
    st.floats(0.05, 0.95),
    st.floats(0, 0.5),
    st.floats(0, 1),
)
def test_words_are_in_order_hold_their_tokens_and_stay_inside(parts, share, reach, tail):
    tokens, time, word = [], 0.0, 0
    for gap, length, is_new in parts:
        word += is_new and bool(tokens)
        tokens.append(TimedToken(int(word), time + gap, time + gap + length))
        time += gap + length
    times = word_boundaries(tokens, int(word) + 1, time + tail, Reach(share, reach, reach))
    for token in tokens:
        start, end = times[token.word]
        assert start <= token.start + 1e-9
        assert token.end <= end + 1e-9
    assert times[0][0] >= 0
    assert times[-1][1] <= time + tail + 1e-9
    assert all(before[1] <= behind[0] + 1e-9 for before, behind in itertools.pairwise(times))
