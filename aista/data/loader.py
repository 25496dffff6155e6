"""Batches of one process, in order, with exact resume and optional worker processes."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from aista.data.batching import BatchPlan, LengthBatches
from aista.data.dataset import SpeechTextDataset
from aista.errors import AistaError, DataError, RunError
from aista.types import SpeechBatch

__all__ = ["BatchLoader"]

Job = tuple[int, tuple[int, ...]]
"""An epoch and the rows to load."""

_BLOCK = 1024  # batches whose ids are in memory at a time
_START_METHOD = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
# fork keeps components from plug-in files usable in workers; each worker runs one thread


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
        self._num_workers = num_workers
        self._train = train
        self._epoch = 0
        self._position = 0
        self._plan = batches.plan(0)
        self._fingerprint_of_plan: str | None = None
        self._jobs = _Jobs()
        self._workers: DataLoader[SpeechBatch | DataError] | None = None

    @property
    def epoch(self) -> int:
        """The current epoch, from 0."""
        return self._epoch

    @property
    def position(self) -> int:
        """Batches of the current epoch that were handed out."""
        return self._position

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
        load = self._load_here if self._num_workers == 0 else self._load_ahead
        for position, batch in enumerate(load(jobs), start=start + 1):
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
        iterator = getattr(self._workers, "_iterator", None)
        self._workers = None
        if iterator is not None:
            iterator._shutdown_workers()

    def __enter__(self) -> BatchLoader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _move(self, epoch: int, position: int) -> None:
        self._epoch, self._position = epoch, position
        self._plan = self._batches.plan(epoch)
        self._fingerprint_of_plan = None

    def _fingerprint(self) -> str:
        """A digest of the epoch's batches: the ids of each on a line of its own, tabs between them."""
        if self._fingerprint_of_plan is None:
            digest = hashlib.blake2b(digest_size=8)
            ids = self._dataset.rows.column("id").combine_chunks()
            for start in range(0, len(self._plan), _BLOCK):
                batches = self._plan[start : start + _BLOCK]
                ends = np.full(sum(map(len, batches)), "\t")
                ends[np.cumsum([len(rows) for rows in batches]) - 1] = "\n"
                rows = pa.array([row for rows in batches for row in rows], pa.int64())
                digest.update("".join(pc.binary_join_element_wise(ids.take(rows), pa.array(ends), "").to_pylist()).encode())
            self._fingerprint_of_plan = digest.hexdigest()
        return self._fingerprint_of_plan

    def _load_here(self, jobs: list[Job]) -> Iterator[SpeechBatch]:
        for epoch, rows in jobs:
            yield self._dataset.batch(rows, epoch)

    def _load_ahead(self, jobs: list[Job]) -> Iterator[SpeechBatch]:
        if self._workers is None:
            self._workers = self._start_workers()
        self._jobs.jobs = jobs
        try:
            for batch in self._workers:
                if isinstance(batch, DataError):
                    raise batch
                yield batch
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            self.close()
            raise RunError(
                f"a data worker process died ({str(error).splitlines()[0]}), often for want of memory; "
                "lower data.num_workers, or set it to 0 to see the error itself"
            ) from error

    def _start_workers(self) -> DataLoader[SpeechBatch | DataError]:
        return DataLoader(
            _WorkerDataset(self._dataset),
            sampler=self._jobs,
            batch_size=None,
            num_workers=self._num_workers,
            collate_fn=_unchanged,
            multiprocessing_context=_START_METHOD,
            persistent_workers=True,
            generator=torch.Generator(),  # its own, so that the number of workers leaves the global one alone
        )


class _Jobs(Sampler[Any]):
    """Hands the current epoch's jobs to the workers; they outlive epochs, so this does too."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)


class _WorkerDataset(Dataset[Any]):
    """What runs in a worker. User's errors travel as values: DataLoader would wrap them in a traceback."""

    def __init__(self, dataset: SpeechTextDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, job: Any) -> SpeechBatch | DataError:
        epoch, rows = job
        try:
            return self._dataset.batch(rows, epoch)
        except AistaError as error:
            return DataError(str(error))


def _unchanged(batch: Any) -> Any:
    return batch
