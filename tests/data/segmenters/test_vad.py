from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.data.segmenters import vad
from aista.data.segmenters.base import Segment
from aista.data.segmenters.vad import Vad
from tests.data.segmenters.conftest import SPOKEN

FRAME = 0.032


def test_each_sentence_is_a_segment(talk):
    segments = Vad().segments(talk.wave.split(30_000), 30.0)
    assert len(segments) == len(SPOKEN)
    for (start, end), segment in zip(SPOKEN, segments, strict=True):
        assert segment.start < start < end < segment.end
        assert segment.seconds < end - start + 2


def test_speech_that_is_too_long_is_cut(talk):
    segments = Vad(max_seconds=1).segments([talk.wave], 30.0)
    whole = Vad().segments([talk.wave], 30.0)
    assert len(segments) > len(whole)
    assert max(segment.seconds for segment in segments) <= 1
    assert sum(s.seconds for s in segments) == pytest.approx(sum(s.seconds for s in whole), abs=0.2)


def test_sentences_join_across_a_pause_that_is_allowed(talk):
    (segment,) = Vad(min_seconds=4).segments([talk.wave], 30.0)
    assert (segment.start < SPOKEN[0][0]) & (segment.end > SPOKEN[1][1])


def test_noise_has_no_segments(talk):
    assert Vad().segments([talk.wave[:16_000]], 30.0) == []


@given(
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0.01, 0.4, 0.6, 0.99])), min_size=1, max_size=30),
    st.integers(4, 100),
    st.floats(0.1, 1.0),
    st.floats(0, 3.0),
)
def test_any_probabilities_give_spans_that_fit(runs, longest, pause, shortest):
    p = np.array([value for count, value in runs for _ in range(count)], np.float32)
    spans = Vad(pause=pause, min_seconds=shortest, min_speech=0)._spans(p, longest)
    covered = np.zeros(len(p), bool)
    behind = 0
    for start, end in spans:
        assert behind <= start < end <= len(p)
        assert end - start <= longest
        covered[start:end] = True
        behind = end
    assert covered[p >= 0.5].all()  # nothing that is speech is left out
    seconds = len(p) * FRAME
    bare = [Segment(start * FRAME, end * FRAME) for start, end in spans]
    behind = 0.0
    for segment, padded in zip(bare, vad._pad(bare, 0.1, longest * FRAME, seconds), strict=True):
        assert behind - 1e-9 <= padded.start <= segment.start < segment.end <= padded.end <= seconds + 1e-9
        assert padded.seconds <= longest * FRAME + 1e-9
        behind = padded.end


def test_pauses_separate_from_their_length_on():
    p = np.array([0.9] * 10 + [0.1] * 9 + [0.9] * 10 + [0.1] * 10 + [0.9] * 10, np.float32)
    assert vad._speech(p, 0.5, 10) == [(0, 29), (39, 49)]
    doubt = np.where(p < 0.5, 0.4, p)  # neither speech nor quiet: speech goes on
    assert vad._speech(doubt, 0.5, 10) == [(0, 49)]


def test_a_long_span_is_cut_where_speech_is_least_likely():
    p = np.full(100, 0.9, np.float32)
    p[40] = p[10] = 0.6  # the first half of what is allowed is not looked at
    assert vad._cut((0, 100), p, 5, 60) == [(0, 40), (40, 100)]


def test_the_nearest_neighbour_is_joined_first():
    spans = [(0, 50), (60, 64), (66, 120)]
    assert vad._join(spans, 20, 1_000) == [(0, 50), (60, 120)]
    assert vad._join(spans, 20, 55) == spans
    assert vad._join([(0, 5), (6, 9), (11, 14), (40, 44)], 20, 1_000) == [(0, 14), (40, 44)]
    assert vad._join(spans, 0, 1_000) == spans
