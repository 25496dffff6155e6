"""Segments of equal length."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from aista.data.segmenters.base import Segment, Segmenter
from aista.registry import register
from aista.schema import Options, option

__all__ = ["Fixed"]


@register("segmenter", "fixed")
@dataclass(frozen=True, kw_only=True)
class Fixed(Options, Segmenter):
    """Cuts a recording into the smallest number of equal segments, regardless of words, and leaves nothing out.

    Cuts fall into words, which costs translations at both ends of each segment. Choose it as the baseline of a study of
    segmentation, or where a voice-activity detector takes what shall be translated, such as singing, for noise.
    """

    max_seconds: float = option(
        0.0, "Maximum length of a segment in seconds, if less than the model's; 0: the model's.", minimum=0
    )

    def segments(self, blocks: Iterable[Tensor], max_seconds: float) -> list[Segment]:
        seconds = sum(len(block_W) for block_W in blocks) / self.sample_rate
        longest = min(max_seconds, self.max_seconds or max_seconds)
        count = math.ceil(seconds / longest)
        bounds = [seconds * index / count for index in range(count)] + [seconds]
        return [Segment(start, end) for start, end in itertools.pairwise(bounds)]
