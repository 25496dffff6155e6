"""Segments of speech, cut at pauses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aista.data.audio import one_thread
from aista.data.segmenters.base import CountedBlocks, Segment, Segmenter
from aista.data.segmenters.silero import FRAME, SAMPLE_RATE, speech_probabilities
from aista.registry import register
from aista.schema import Options, option

__all__ = ["Vad"]

_FRAME_SECONDS = FRAME / SAMPLE_RATE
_HYSTERESIS = 0.15  # speech goes on until its probability is this much below the threshold, as in Silero's own code
_SMOOTHED = 9  # frames (0.29 s) whose mean decides where to cut speech without a pause


@register("segmenter", "vad")
@dataclass(frozen=True, kw_only=True)
class Vad(Options, Segmenter):
    """Voice activity detection: finds speech with Silero VAD and cuts it at pauses.

    Speech separated by at least ``pause`` seconds becomes segments of its own. A segment that is too long is cut where
    speech is least likely in the second half of what is allowed. One that is too short joins a neighbour, the nearest
    pairs first. What is no speech is left out, but for ``padding`` around each segment. The weights (MIT licence) come
    in the package silero-vad; nothing is downloaded. A CPU core takes some 30 s for an hour.

    Choose it for talks, meetings and broadcasts. Set ``max_seconds`` to about the longest utterances that the model was
    trained on, where these are shorter than ``data.max_seconds``. Source: Silero Team, github.com/snakers4/silero-vad.
    """

    threshold: float = option(
        0.5, "Probability from which a frame is speech: lower in noise, higher in music.", above=0.15, below=1
    )
    pause: float = option(0.5, "Pauses of at least this many seconds separate segments.", minimum=0.1, maximum=60)
    min_speech: float = option(0.1, "Minimum speech in seconds; shorter speech counts as noise.", minimum=0, maximum=60)
    min_seconds: float = option(
        2.0,
        "Segments shorter than this many seconds are joined to an adjacent one across a pause up to this long.",
        minimum=0,
        maximum=3600,
    )
    max_seconds: float = option(
        0.0, "Maximum length of a segment in seconds, if less than the model's; 0: the model's.", minimum=0
    )
    padding: float = option(0.1, "Seconds of the pauses kept around each segment.", minimum=0, maximum=10)

    sample_rate = SAMPLE_RATE

    def segments(self, blocks: Iterable[Tensor], max_seconds: float) -> list[Segment]:
        counted = CountedBlocks(blocks)
        with torch.inference_mode(), one_thread():
            parts = list(speech_probabilities(counted))
        if not parts:
            return []
        longest = min(max_seconds, self.max_seconds or max_seconds)
        spans = self._spans(torch.cat(parts).numpy(), max(1, int(longest / _FRAME_SECONDS)))
        seconds = counted.samples / SAMPLE_RATE
        bare = [Segment(start * _FRAME_SECONDS, min(end * _FRAME_SECONDS, seconds)) for start, end in spans]
        return _pad(bare, self.padding, longest, seconds)

    def _spans(self, p_N: NDArray[np.float32], longest: int) -> list[tuple[int, int]]:
        """First frame of each segment and the frame after its last."""
        shortest = min(round(self.min_seconds / _FRAME_SECONDS), longest // 2)
        spans = _speech(p_N, self.threshold, max(1, round(self.pause / _FRAME_SECONDS)))
        spans = [span for span in spans if (span[1] - span[0]) * _FRAME_SECONDS >= self.min_speech]
        smooth_N = np.convolve(p_N, np.full(_SMOOTHED, 1 / _SMOOTHED), mode="same")
        cut = [piece for span in spans for piece in _cut(span, smooth_N, shortest, longest)]
        return _join(cut, shortest, longest)


def _speech(p_N: NDArray[np.float32], threshold: float, pause: int) -> list[tuple[int, int]]:
    """Spans of speech separated by at least ``pause`` frames of silence."""
    spans: list[tuple[int, int]] = []
    start = quiet = -1
    for frame, p in enumerate(p_N.tolist()):
        if p >= threshold:
            start, quiet = (frame if start < 0 else start), -1
        elif start >= 0 and quiet < 0 and p < threshold - _HYSTERESIS:
            quiet = frame
        if quiet >= 0 and frame + 1 - quiet >= pause:
            spans.append((start, quiet))
            start = quiet = -1
    if start >= 0:
        spans.append((start, quiet if quiet >= 0 else len(p_N)))
    return spans


def _cut(span: tuple[int, int], smooth_N: NDArray[np.floating], shortest: int, longest: int) -> list[tuple[int, int]]:
    """Split a span into pieces of at most ``longest`` frames, cut where speech is least likely."""
    start, end = span
    pieces: list[tuple[int, int]] = []
    while end - start > longest:
        first = start + max(1, longest // 2)
        last = max(first, min(start + longest, end - shortest))
        place = first + int(smooth_N[first : last + 1].argmin())
        pieces.append((start, place))
        start = place
    return [*pieces, (start, end)]


def _join(spans: list[tuple[int, int]], shortest: int, longest: int) -> list[tuple[int, int]]:
    """Join spans shorter than ``shortest`` with adjacent spans within that distance, the nearest pairs first."""
    first, last = list(range(len(spans))), list(range(len(spans)))  # of a span's group; kept right at the group's ends

    def gap(left: int) -> int:
        return spans[left + 1][0] - spans[left][1]

    for left in sorted(range(len(spans) - 1), key=gap):
        begin, end = first[left], last[left + 1]
        lengths = spans[left][1] - spans[begin][0], spans[end][1] - spans[left + 1][0]
        if gap(left) <= shortest > min(lengths) and spans[end][1] - spans[begin][0] <= longest:
            last[begin], first[end] = end, begin
    joined, index = list[tuple[int, int]](), 0
    while index < len(spans):
        joined.append((spans[index][0], spans[last[index]][1]))
        index = last[index] + 1
    return joined


def _pad(segments: list[Segment], padding: float, longest: float, seconds: float) -> list[Segment]:
    """Pad each segment with the pauses around it: at most half of each, and ``longest`` frames in all."""
    bounds = [0.0, *(bound for segment in segments for bound in segment), seconds]
    padded = []
    for index, segment in enumerate(segments):
        before, after = segment.start - bounds[2 * index], bounds[2 * index + 3] - segment.end
        room = max(0.0, longest - segment.seconds) / 2
        left = min(padding, room, before / (2 if index else 1))
        right = min(padding, room, after / (2 if index < len(segments) - 1 else 1))
        padded.append(Segment(segment.start - left, segment.end + right))
    return padded
