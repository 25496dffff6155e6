import pytest
import torch

from aista.data.segmenters.fixed import Fixed


@pytest.mark.parametrize(("seconds", "count"), [(0.5, 1), (2.0, 1), (2.001, 2), (4.0, 2), (9.5, 5)])
def test_as_few_equal_segments_as_possible_hold_everything(seconds, count):
    segments = Fixed().segments([torch.zeros(round(seconds * 16_000))], 2.0)
    assert len(segments) == count
    assert segments[0].start == 0
    assert segments[-1].end == pytest.approx(seconds)
    assert [segment.seconds for segment in segments] == pytest.approx([seconds / count] * count)
    assert [segment.start for segment in segments[1:]] == [segment.end for segment in segments[:-1]]


def test_its_own_bound_is_within_the_models():
    wave = [torch.zeros(16_000 * 6)]
    assert len(Fixed(max_seconds=1.5).segments(wave, 3.0)) == 4
    assert len(Fixed(max_seconds=9).segments(wave, 3.0)) == 2
