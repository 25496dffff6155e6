"""The options of ``aista compare``, ``aista score`` and ``aista report``."""

from __future__ import annotations

from dataclasses import dataclass

from aista.schema import Options, option

__all__ = ["ComparisonOptions", "ReportOptions", "ResamplingOptions"]


@dataclass(frozen=True, kw_only=True)
class ResamplingOptions(Options):
    """Options of the resampling of a test set."""

    samples: int = option(1000, "bootstrap samples", minimum=40, maximum=1_000_000)
    seed: int = option(12345, "seed of the resampling", minimum=0)


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions(ResamplingOptions):
    """Options of a comparison."""

    split: str = option("test", "evaluated split; SPLIT+task=TASK after `aista evaluate --split SPLIT --task TASK`")
    direction: str = option("", "compare only this direction, such as en-fr, instead of the mean over all")


@dataclass(frozen=True, kw_only=True)
class ReportOptions(ComparisonOptions):
    """Options of a report."""

    utterances: int = option(1000, "maximum number of utterances", minimum=1)
    audio: int = option(20, "maximum number of utterances with audio", minimum=0)
    audio_mib: float = option(4.0, "maximum size of the audio in MiB", minimum=0, maximum=1_000_000)
    plans: int = option(2, "number of utterances with transport plans of every run", minimum=0)
    checkpoint: str = option("best", "checkpoint of the transport plans: best, last, or a step number")
    device: str = option("", "cpu or cuda (default: the GPU if there is one)")
