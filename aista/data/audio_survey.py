"""Survey of the audio files of many rows, by decoding or by headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aista.data.data_config import DataConfig
from aista.data.file_memory import FileMemory
from aista.data.manifest_rows import MANIFEST_SAMPLE_RATE, UNMEASURED, Rows
from aista.data.row_checks import MAX_MISLABELLING
from aista.errors import DataError

__all__ = ["AudioSurvey", "survey_audio"]


@dataclass(frozen=True)
class AudioSurvey:
    """Findings about the rows' audio, ``[rows]``.

    Attributes:
        seconds: True durations; NaN where a file was not examined, or has a fault.
        faults: Index of a row -> the fault of its file.
    """

    seconds: NDArray[np.float64]
    faults: dict[int, DataError]

    def probe(self, index: int) -> float | DataError | None:
        """The duration of a row's audio in seconds, or its fault; None where it was not examined."""
        seconds = float(self.seconds[index])
        return self.faults.get(index, None if np.isnan(seconds) else seconds)

    def measured(self, rows: Rows) -> Rows:
        """The rows, with true lengths in place of ``UNMEASURED`` ones."""
        frames = rows.numbers("n_frames")
        found = (frames == UNMEASURED) & ~np.isnan(self.seconds)
        if not found.any():
            return rows
        truth = np.rint(np.nan_to_num(self.seconds) * MANIFEST_SAMPLE_RATE).astype(np.int64)
        return rows.with_frames(np.where(found, truth, frames))

    def seconds_of(self, rows: Rows) -> NDArray[np.float64]:
        """True durations, or the stated ones where a file was not examined."""
        return np.where(np.isnan(self.seconds), rows.seconds(), self.seconds)

    def doubtful(self, rows: Rows, config: DataConfig) -> NDArray[np.bool_]:
        """``[rows]`` whether a row's audio may have a fault, to be checked by ``row_checks.audio_findings``."""
        seconds = self.seconds_of(rows)
        doubtful = ~rows.is_filled("audio") | (seconds > config.max_seconds) | (seconds < config.min_seconds)
        looked_at = np.flatnonzero(~np.isnan(self.seconds))
        some, truth = rows.take(looked_at), self.seconds[looked_at] * MANIFEST_SAMPLE_RATE
        is_other = np.abs(some.numbers("n_frames") - truth) > MAX_MISLABELLING * truth
        doubtful[looked_at] |= is_other | some.is_filled("word_times")
        doubtful[list(self.faults)] = True
        return doubtful


def survey_audio(
    rows: Rows, wanted: NDArray[np.bool_], memory: FileMemory, progress: Callable[[int, int], None] | None = None
) -> AudioSurvey:
    """Examine the audio of the wanted rows, ``[rows]``; rows without audio are left out."""
    if not wanted.any():
        return AudioSurvey(np.full(len(rows), np.nan), {})
    indices = np.flatnonzero(wanted & rows.is_filled("audio"))
    found = memory.recall_all(rows.take(indices).texts("audio"), progress)
    samples, rates, _ = found.values
    seconds = np.full(len(rows), np.nan)
    good = np.ones(len(indices), dtype=np.bool_)
    good[list(found.faults)] = False
    seconds[indices[good]] = samples[good] / rates[good]
    return AudioSurvey(seconds, {int(indices[place]): fault for place, fault in found.faults.items()})
