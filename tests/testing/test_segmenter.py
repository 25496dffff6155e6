import pytest

from aista.data.segmenters.base import Segment, Segmenter
from aista.testing import segmenter as contract


class Correct(Segmenter):
    """Half a second of every second."""

    def segments(self, blocks, max_seconds):
        seconds = sum(len(block) for block in blocks) / self.sample_rate
        return [Segment(place, min(place + 0.5, seconds)) for place in range(int(seconds) + 1) if place < seconds]


class Overlaps(Correct):
    def segments(self, blocks, max_seconds):
        return [Segment(start, end + 0.6) for start, end in super().segments(blocks, max_seconds)][:-1]


class Beyond(Correct):
    def segments(self, blocks, max_seconds):
        return [Segment(start, start + 0.5) for start, _ in super().segments(blocks, max_seconds)]


class TooLong(Correct):
    def segments(self, blocks, max_seconds):
        return [Segment(0.0, sum(len(block) for block in blocks) / self.sample_rate)]


class ByBlocks(Correct):
    def segments(self, blocks, max_seconds):
        return [Segment(index * 0.1, index * 0.1 + 0.05) for index, _ in enumerate(blocks)]


class Impatient(Correct):
    def segments(self, blocks, max_seconds):
        next(iter(blocks), None)
        return []


class InPlace(Correct):
    def segments(self, blocks, max_seconds):
        return super().segments([block.zero_() for block in blocks], max_seconds)


class Always(Correct):
    def segments(self, blocks, max_seconds):
        return super().segments(blocks, max_seconds) or [Segment(0.0, 0.0)]


CASES = [
    (contract.check_segments, Overlaps, "1 to 2.1 s of .* begins before the end of the segment before, 1.1 s"),
    (contract.check_segments, Beyond, "is not within the recording"),
    (contract.check_segments, TooLong, "is longer than the longest allowed, 2.0 s"),
    (contract.check_blocks, ByBlocks, "blocks of 4096 samples give other segments"),
    (contract.check_blocks, Impatient, "of 116800 samples, 4096 are taken"),
    (contract.check_blocks, InPlace, "the waveform is changed in place"),
    (contract.check_nothing, Always, "no samples give segments"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_segmenter_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_segmenter_passes(check):
    check(Correct())
