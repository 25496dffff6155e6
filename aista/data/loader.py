"""Batches of one process, in order, with exact resume and optional worker processes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from aista.data.batching import BatchPlan, LengthBatches
from aista.data.dataset import SpeechTextDataset
from aista.data.worker_pool import WorkerPool
from aista.errors import DataError
from aista.types import SpeechBatch

__all__ = ["BatchLoader"]

Job = tuple[int, tuple[int, ...]]
"""An epoch and the rows to load."""


class BatchLoader:
    """Iterates over one epoch, from wherever its state stands.

    Rank r gets rows ``r::world_size`` of every global batch. The state counts batches handed out, not
    those that workers have prepared, so that a restored loader continues with the next batch.

    Args:
        dataset: Rows to load.
        batches: Plan of the global batches.
        rank: This process' number.
        world_size: Number of processes.
        num_workers: Processes that prepare batches ahead; 0 prepares them in this one. The batches are
            bit-identical. Workers stay for the next epoch; ``close`` (or ``with``) ends them.
        train: Keep epoch and position between iterations; otherwise each iteration is a whole pass.
    """

    def __init__(
        self,
        dataset: SpeechTextDataset,
        batches: BatchPlan,
        *,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
        train: bool,
    ) -> None:
        self._dataset = dataset
        self._batches = batches
        self._rank = rank
        self._world_size = world_size
        self._planned_for = world_size
        self._train = train
        self._epoch = 0
        self._position = 0
        self._plan = batches.plan(0)
        self._pool = WorkerPool(partial(_load, dataset), num_workers)

    @property
    def epoch(self) -> int:
        """The current epoch, from 0."""
        return self._epoch

    @property
    def position(self) -> int:
        """Batches of the current epoch that were handed out."""
        return self._position

    @property
    def is_at_end(self) -> bool:
        """Whether the current epoch's last batch was handed out."""
        return self._position == len(self._plan)

    def __len__(self) -> int:
        """Batches of the current epoch, those handed out included."""
        return len(self._plan)

    def __iter__(self) -> Iterator[SpeechBatch]:
        """The batches left in this epoch.

        Raises:
            DataError: a file has become unreadable since the rows were inspected.
            RunError: a worker process died.
        """
        if not self._train:
            self._position = 0
        start = self._position
        jobs = [(self._epoch, rows[self._rank :: self._world_size]) for rows in self._plan[start:]]
        for position, batch in enumerate(self._pool.map(jobs), start=start + 1):
            self._position = position
            yield batch

    def next_epoch(self) -> None:
        """Go to the first batch of the next epoch (training), or back to the first batch (evaluation)."""
        self._move(self._epoch + 1 if self._train else 0, 0)

    def state_dict(self) -> dict[str, Any]:
        """Epoch, number of batches handed out, processes planned for, and a fingerprint of the epoch's batches."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "world_size": self._planned_for,
            "fingerprint": self._fingerprint(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a stored place, with the batches of the most processes that the run had so far.

        Raises:
            DataError: the rows or batches are not those of the stored state (another manifest, seed or
                batch size, or more processes than the smallest batch has rows).
        """
        before = self._batches, self._epoch, self._position
        self._planned_for = max(self._world_size, int(state["world_size"]))
        if isinstance(self._batches, LengthBatches):
            self._batches = replace(self._batches, world_size=self._planned_for)
        self._move(int(state["epoch"]), int(state["position"]))
        if state["fingerprint"] != self._fingerprint():
            self._batches, *place = before
            self._move(*place)
            few = f", or its smallest batch has fewer rows than there are processes now ({self._world_size})"
            raise DataError(
                "training cannot be resumed: its batches must be those that it started with, but the manifest, "
                f"the rows kept, the seed or the batch sizes have changed{few * (self._world_size > 1)}; restore them, "
                "or start a new run"
            )

    def close(self) -> None:
        """End the worker processes. A later iteration starts new ones."""
        self._pool.close()

    def __enter__(self) -> BatchLoader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _move(self, epoch: int, position: int) -> None:
        self._epoch, self._position = epoch, position
        self._plan = self._batches.plan(epoch)

    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        for rows in self._plan:
            digest.update("\t".join(self._dataset.rows[row].id for row in rows).encode() + b"\n")
        return digest.hexdigest()


def _load(dataset: SpeechTextDataset, job: Job) -> SpeechBatch:
    epoch, rows = job
    return dataset.batch(rows, epoch)
