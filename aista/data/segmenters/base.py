"""Interface of segmenters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from torch import Tensor

__all__ = ["CountedBlocks", "Segment", "Segmenter"]


class Segment(NamedTuple):
    """A part of a recording, in seconds from its beginning."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.end - self.start


class CountedBlocks:
    """An iterator over blocks that counts their samples.

    Args:
        blocks: Blocks ``[W]`` of a waveform.
        report: Called with that number after each block.
    """

    def __init__(self, blocks: Iterable[Tensor], report: Callable[[int], None] | None = None) -> None:
        self.samples = 0
        self._blocks = blocks
        self._report = report

    def __iter__(self) -> Iterator[Tensor]:
        for block_W in self._blocks:
            self.samples += len(block_W)
            yield block_W
            if self._report is not None:
                self._report(self.samples)


class Segmenter(ABC):
    """Cuts a recording of any length into segments that a model can take.

    A component of kind ``segmenter`` is called as ``factory(config)``. What it leaves out between segments is not
    translated.
    """

    sample_rate: int = 16_000
    """Sample rate of its input in Hz."""

    @abstractmethod
    def segments(self, blocks: Iterable[Tensor], max_seconds: float) -> list[Segment]:
        """Yield the segments of one recording, in order and without overlap.

        Args:
            blocks: The mono waveform at ``sample_rate`` in successive blocks ``[W]``, of any lengths. To be taken to
                their end, where the recording is known to be right; not to be kept, as it may last hours, nor changed.
            max_seconds: Longest segment that is allowed.

        Returns:
            The same for any division into blocks; empty where there is nothing to translate.
        """
