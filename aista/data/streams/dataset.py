"""Rows of a stream as examples: nothing has looked at their audio before."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from typing_extensions import override

from aista.data.audio import read_audio
from aista.data.data_config import DataConfig
from aista.data.dataset import Example, SpeechTextDataset, collate
from aista.data.features.base import Feature
from aista.data.inspection import MAX_MISLABELLING, duration_findings
from aista.data.manifest import Row
from aista.data.streams.windows import BadRow
from aista.errors import DataError
from aista.types import SpeechBatch

__all__ = ["Loaded", "StreamDataset", "StreamJob", "load"]


class StreamJob(NamedTuple):
    """A process' share of a batch.

    Attributes:
        epoch: The current one.
        rows: Its rows.
        spares: Rows of which the first good one is read where none of ``rows`` is: processes step together.
    """

    epoch: int
    rows: tuple[Row, ...]
    spares: tuple[Row, ...]


class Loaded(NamedTuple):
    """A share as a batch, None where no row can be read, and the rows that cannot."""

    batch: SpeechBatch | None
    bad: tuple[BadRow, ...]


class StreamDataset(SpeechTextDataset):
    """A dataset that compares each recording with the length that its shard states."""

    config: DataConfig
    """Bounds on the duration."""

    @override
    def _features(self, row: Row, feature: Feature) -> Tensor:
        wave_W = read_audio(row.audio, self._base, feature.sample_rate, max_seconds=self.config.max_seconds)
        seconds = len(wave_W) / feature.sample_rate
        findings = duration_findings(seconds, self.config)
        if findings:
            raise DataError(findings[0][1])
        if abs(row.seconds - seconds) > MAX_MISLABELLING * seconds:
            raise DataError(
                f"mislabelled: its shard must state its length to 5 %, {seconds:.3f} s, got {row.seconds:.3f} s; write "
                "the shard again"
            )
        try:
            return feature(wave_W)
        except ValueError as error:
            raise DataError(str(error)) from error


def load(dataset: StreamDataset, job: StreamJob) -> Loaded:
    """Read the rows of a job; those that cannot be read are left out and named."""
    part = dataset.with_rows((*job.rows, *job.spares))
    examples: list[Example] = []
    bad: list[BadRow] = []
    for place, row in enumerate((*job.rows, *job.spares)):
        if place >= len(job.rows) and examples:
            break
        try:
            examples.append(part.example(place, job.epoch))
        except DataError as error:
            bad.append((row.audio.partition(":")[0], row.id, str(error)))
    return Loaded(collate(examples, dataset.tokenizer.pad_id) if examples else None, tuple(bad))
