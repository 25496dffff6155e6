"""Interface of feature extractors."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from torch import Tensor

__all__ = ["Feature"]


class Feature(ABC):
    """Waveform -> encoder input.

    A component of kind ``feature`` is called as ``factory(config)``. It must be picklable (worker
    processes) and a pure function of the waveform.
    """

    dim: int
    """Channels M of a frame; 0 where the output is a waveform."""

    sample_rate: int
    """Sample rate of its input in Hz."""

    max_seconds: float = math.inf
    """Maximum duration of its input in seconds."""

    content: str = ""
    """Kind of features, e.g. ``"whisper_log_mel"``. Pretrained encoders refuse other kinds than they were trained on
    (``aista.modules.encoders.base.ExpectedInput``); empty disables the check."""

    @abstractmethod
    def __call__(self, wave: Tensor) -> Tensor:
        """``[W]`` float32 samples, W at least 1 -> ``[F, M]`` frames, or ``[W]`` where ``dim`` is 0.

        Raises:
            ValueError: the waveform is longer than ``max_seconds``.
        """

    def covered_seconds(self, seconds: float) -> float:
        """Seconds that the output covers; more than the recording where the feature appends silence."""
        return seconds

    @abstractmethod
    def num_frames(self, num_samples: int) -> int:
        """Length of the output for ``num_samples`` samples, without computing it."""
