"""Batches of one process, in order, with exact resume and optional worker processes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from aista.data.batching import Batches, BatchPlan, LengthBatches
from aista.data.dataset import SpeechTextDataset
from aista.data.fault_log import FaultLog
from aista.data.mixture import Mixture
from aista.data.row_checks import Problem, problems_of
from aista.data.shares import read_share, spares_of
from aista.data.worker_pool import WorkerPool
from aista.errors import DataError
from aista.types import SpeechBatch

__all__ = ["BatchLoader"]

Job = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""``(epochs, rows, spare rows)`` of a job: the first good spare row is loaded if all rows are faulty."""

_NO_BATCHES = Batches(np.empty(0, np.int64), ())
_BLOCK = 1024  # batches whose ids are in memory at a time


class BatchLoader:
    """Iterates over the batches of an epoch, from its present state on.

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
        faults: Leave faulty rows out of their batches and count them there; None stops at the first one. Where a
            process' share has no good row left, a row of the same or the next batch is read in its place: processes
            take their steps together.
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
        faults: FaultLog | None = None,
    ) -> None:
        self._dataset = dataset
        self._faults = faults
        self._batches = batches
        self._rank = rank
        self._world_size = world_size
        self._planned_for = world_size
        self._train = train
        self._epoch = 0
        self._position = 0
        self._plan = batches.plan(0)
        self._fingerprint_of_plan: str | None = None
        self._pool = WorkerPool(partial(_load, dataset, tolerant=faults is not None), num_workers)

    @property
    def epoch(self) -> int:
        """The current epoch, from 0."""
        return self._epoch

    @property
    def position(self) -> int:
        """Number of batches of the current epoch that were returned."""
        return self._position

    @property
    def is_at_end(self) -> bool:
        """Whether the last batch of the current epoch was returned."""
        return self._position == len(self._plan)

    def __len__(self) -> int:
        """Number of batches of the current epoch."""
        return len(self._plan)

    def __iter__(self) -> Iterator[SpeechBatch]:
        """The batches left in this epoch.

        Raises:
            DataError: a row is faulty, or too many are.
            RunError: a worker process died.
        """
        if not self._train:
            self._position = 0
        start = self._position
        jobs = _Jobs(self._epoch, self._plan, start, self._rank, self._world_size, has_spares=self._faults is not None)
        for position, loaded in enumerate(self._pool.map(jobs), start=start + 1):
            batch = self._checked(loaded, jobs[position - start - 1])
            self._position = position
            yield batch

    @property
    def mixture(self) -> Mixture | None:
        """The parts that the batches are mixed from; None where every row is read once an epoch."""
        return self._batches.mixture if isinstance(self._batches, LengthBatches) else None

    def rows_read(self) -> dict[str, int]:
        """Rows of each part of the mixture in all batches so far, including other processes and earlier runs."""
        if (mixture := self.mixture) is None:
            return {}
        rows = [row for batch in self._plan[: self._position] for row in batch]
        now = np.bincount(mixture.part[rows], minlength=len(mixture.names)) if rows else 0
        return dict(zip(mixture.names, (mixture.read_before(self._epoch) + now).tolist(), strict=True))

    def next_epoch(self) -> None:
        """Go to the first batch of the next epoch (training), or back to the first batch (evaluation)."""
        self._move(self._epoch + 1 if self._train else 0, 0)

    def state_dict(self) -> dict[str, Any]:
        """Epoch, number of batches returned, number of processes, and a fingerprint of the epoch's batches."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "world_size": self._planned_for,
            "fingerprint": self._fingerprint(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a stored state, with batches for the largest number of processes that the run has had.

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
                "training cannot be resumed: its batches must be the same as when it started, but the manifest, "
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
        self._plan = _NO_BATCHES  # not beside the next one
        self._plan = self._batches.plan(epoch)
        self._fingerprint_of_plan = None

    def _fingerprint(self) -> str:
        """A digest of the epoch's batches: one line of tab-separated ids for each."""
        if self._fingerprint_of_plan is None:
            digest = hashlib.blake2b(digest_size=8)
            ids = self._dataset.rows.column("id").combine_chunks()
            for start in range(0, len(self._plan), _BLOCK):
                batches = self._plan[start : start + _BLOCK]
                ends = np.full(sum(map(len, batches)), "\t")
                ends[np.cumsum([len(rows) for rows in batches]) - 1] = "\n"
                rows = pa.array([row for rows in batches for row in rows], pa.int64())
                digest.update(
                    "".join(pc.binary_join_element_wise(ids.take(rows), pa.array(ends), "").to_pylist()).encode()
                )
            self._fingerprint_of_plan = digest.hexdigest()
        return self._fingerprint_of_plan

    def _checked(self, loaded: _Loaded, job: Job) -> SpeechBatch:
        """Count the faults of a batch and return it."""
        if self._faults is not None:
            self._faults.add(len(job[1]), loaded.problems)
            if loaded.batch is None:
                raise DataError(
                    f"no row of a batch can be read, nor one of {len(job[2])} others: "
                    f"{self._faults.describe(*loaded.problems[0])}; are the audio files where the manifest says? "
                    "data.inspect: full lists all that are not"
                )
        assert loaded.batch is not None
        return loaded.batch


@dataclass(frozen=True)
class _Jobs(Sequence[Job]):
    """This process's jobs of an epoch from a batch on, made lazily."""

    epoch: int
    plan: Batches
    start: int
    rank: int
    world_size: int
    has_spares: bool

    def __len__(self) -> int:
        return len(self.plan) - self.start

    @override
    def __getitem__(self, index: Any) -> Any:
        place = range(self.start, len(self.plan))[index]
        share = slice(self.rank, None, self.world_size)
        spares = spares_of(self.plan, place, self.rank, self.world_size) if self.has_spares else ()
        return self.plan.passes(place, self.epoch)[share], self.plan[place][share], spares


class _Loaded(NamedTuple):
    """Load a batch, or None where no row could be read, and the faults by row."""

    batch: SpeechBatch | None
    problems: Sequence[tuple[int, Problem]] = ()


def _load(dataset: SpeechTextDataset, job: Job, *, tolerant: bool) -> _Loaded:
    epochs, rows, spares = job
    if not tolerant:
        return _Loaded(dataset.collate([dataset.example(*place) for place in zip(rows, epochs, strict=True)]))
    batch, failed = read_share(dataset, epochs, rows, spares)
    return _Loaded(
        batch, [(row, problem) for row, error in failed for problem in problems_of(dataset.rows[row], error)]
    )
