"""Batches from rows of a stream, which are checked as they are read."""

from __future__ import annotations

from typing import NamedTuple

from aista.data.dataset import SpeechTextDataset
from aista.data.manifest import Row
from aista.data.row_checks import problems_of
from aista.data.shares import read_share
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
    places = range(len(rows))
    num_own = len(job.rows)
    epochs = (job.epoch,) * num_own
    batch, failed = read_share(dataset.with_rows(rows), epochs, places[:num_own], places[num_own:])
    return Loaded(batch, tuple(_bad_row(rows[place], error) for place, error in failed))


def _bad_row(row: Row, error: DataError) -> BadRow:
    faults = "; ".join(f"{problem.kind}: {problem.message}" for problem in problems_of(row, error))
    return row.audio.partition(":")[0], row.id, faults
