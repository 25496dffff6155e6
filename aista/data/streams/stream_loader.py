"""Batches of one process from a stream of shards, in order, with exact resume and optional worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from aista.data.dataset import SpeechTextDataset
from aista.data.shares import spares_of
from aista.data.streams.shard_windows import Window, WindowReader
from aista.data.streams.stream_batches import StreamJob, load
from aista.data.streams.tally import Tally
from aista.data.worker_pool import WorkerPool
from aista.errors import DataError
from aista.types import SpeechBatch

__all__ = ["StreamLoader"]


class _Place(NamedTuple):
    """Position of a loader: epoch, window, and number of its batches returned."""

    epoch: int = 0
    window: int = 0
    position: int = 0


class _Mark(NamedTuple):
    """Information about a returned batch: the position after it, and its window."""

    place: _Place
    is_last: bool
    window: Window


class StreamLoader:
    """Iterates over an epoch, in which each shard is read once, from its present state on.

    A window of shards is read, its rows are cut into global batches, and rank r gets rows ``r::world_size`` of each:
    the batches depend on neither the number of processes nor that of workers. Every process reads the texts of all
    shards, and of the recordings only its own.

    Args:
        reader: Reads the windows.
        dataset: Turns rows into examples.
        tally: Counts bad rows.
        rank: This process' number.
        world_size: Number of processes.
        num_workers: Processes that prepare batches ahead; 0 prepares them in this one.
    """

    def __init__(
        self,
        reader: WindowReader,
        dataset: SpeechTextDataset,
        tally: Tally,
        *,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
    ) -> None:
        self._reader = reader
        self._tally = tally
        self._rank = rank
        self._world_size = world_size
        self._planned_for = world_size
        self._place = _Place()
        self._is_at_end = False
        self._fingerprint = ""
        self._marks: list[_Mark] = []
        self._read: tuple[tuple[int, int], Window] | None = None
        self._pool = WorkerPool(partial(load, dataset), num_workers)

    @property
    def epoch(self) -> int:
        """The current epoch, from 0."""
        return self._place.epoch

    @property
    def is_at_end(self) -> bool:
        """Whether the last batch of the current epoch was returned."""
        return self._is_at_end

    def __iter__(self) -> Iterator[SpeechBatch]:
        """The batches left in this epoch.

        Raises:
            DataError: a shard cannot be read, or there are bad rows: one where none is allowed, or too many.
            RunError: a worker process died.
        """
        self._marks = []
        for loaded in self._pool.map(self._jobs()):
            place, is_last, window = self._marks.pop(0)
            if place.position == 1:
                self._tally.add(window.num_met, window.bad, everywhere=True)
            self._tally.add(0, loaded.bad, everywhere=False)
            if loaded.batch is None:
                raise DataError(
                    f"{self._reader.stream.path}: no row of a batch can be read: {loaded.bad[0][1]}: "
                    f"{loaded.bad[0][2]}; write the shards again"
                )
            self._place, self._is_at_end, self._fingerprint = place, is_last, window.fingerprint
            yield loaded.batch

    def next_epoch(self) -> None:
        """Go to the first batch of the next epoch."""
        self._place, self._is_at_end = _Place(self._place.epoch + 1), False
        self._fingerprint = ""

    def state_dict(self) -> dict[str, Any]:
        """Position in the stream, number of processes, row counts, and the shards' fingerprint."""
        fingerprint = self._fingerprint or self._window(self._place.epoch, self._place.window).fingerprint
        return {
            **self._place._asdict(),
            "world_size": self._planned_for,
            "is_at_end": self._is_at_end,
            "counts": self._tally.state_dict(),
            "shards": self._reader.fingerprint,
            "fingerprint": fingerprint,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a stored position; reads its window again, and nothing before it.

        Raises:
            DataError: the shards or batches are not those of the stored state.
        """
        if "shards" not in state or state["shards"] != self._reader.fingerprint:
            raise DataError(
                f"{self._reader.stream.path}: training cannot be resumed: its shards must be those that it started "
                "with, but their names or sizes have changed; restore them, or start a new run"
            )
        before = self._planned_for
        self._planned_for = max(self._world_size, int(state["world_size"]))
        place = _Place(*(int(state[name]) for name in _Place._fields))
        self._read = None
        if self._window(place.epoch, place.window).fingerprint != state["fingerprint"]:
            self._planned_for, self._read = before, None
            few = f", or a batch has fewer rows than there are processes now ({self._world_size})"
            raise DataError(
                f"{self._reader.stream.path}: training cannot be resumed: its batches must be those that it started "
                f"with, but the rows kept, the seed or the batch sizes have changed{few * (self._world_size > 1)}; "
                "restore them, or start a new run"
            )
        self._place, self._is_at_end, self._fingerprint = place, bool(state["is_at_end"]), state["fingerprint"]
        self._tally.load_state_dict(state["counts"])

    def close(self) -> None:
        """End the worker processes. A later iteration starts new ones."""
        self._pool.close()

    def __enter__(self) -> StreamLoader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _jobs(self) -> Iterator[StreamJob]:
        """The remaining jobs of the epoch; windows are read lazily."""
        epoch, first, start = self._place
        last = len(self._reader.order(epoch)) - 1
        for number in range(first, last + 1):
            window = self._window(epoch, number)
            self._tally.require_none(window.bad)
            for position in range(start, len(window.batches)):
                own = window.batches[position][self._rank :: self._world_size]
                spares = spares_of(window.batches, position, self._rank, self._world_size)
                rows, others = (tuple(window.rows[place] for place in places) for places in (own, spares))
                is_last = number == last and position + 1 == len(window.batches)
                self._marks.append(_Mark(_Place(epoch, number, position + 1), is_last, window))
                yield StreamJob(epoch, rows, others)
            start = 0

    def _window(self, epoch: int, number: int) -> Window:
        """Read a window; the last one is cached."""
        if self._read is None or self._read[0] != (epoch, number):
            self._read = (epoch, number), self._reader.read(epoch, number, self._planned_for)
        return self._read[1]
