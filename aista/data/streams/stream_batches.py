"""Rows of a stream as batches: what nothing has looked at before is checked as it is read."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from aista.data.dataset import Example, SpeechTextDataset
from aista.data.manifest import Row
from aista.data.row_checks import problems_of
from aista.data.streams.shard_windows import BadRow
from aista.errors import DataError
from aista.types import SpeechBatch

__all__ = ["Loaded", "StreamJob", "load"]


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


def load(dataset: SpeechTextDataset, job: StreamJob) -> Loaded:
    """Read the rows of a job; those that cannot be read are left out and named."""
    rows = (*job.rows, *job.spares)
    part = dataset.with_rows(rows)
    examples: list[Example] = []
    bad: list[BadRow] = []
    for place, row in enumerate(rows):
        if place >= len(job.rows) and examples:
            break
        try:
            examples.append(part.example(place, job.epoch))
        except DataError as error:
            faults = "; ".join(f"{problem.kind}: {problem.message}" for problem in problems_of(row, error))
            bad.append((row.audio.partition(":")[0], row.id, faults))
    if not examples:
        return Loaded(None, tuple(bad))
    left_out = len(job.rows) - sum(example.id in {row.id for row in job.rows} for example in examples)
    return Loaded(replace(part.collate(examples), left_out=left_out), tuple(bad))
