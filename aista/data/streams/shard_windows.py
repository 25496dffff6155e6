"""Windows of shards that are read together, and the batches formed from their rows."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from aista.data.batching import LengthBatches
from aista.data.manifest import Row
from aista.data.streams.base import Shard, ShardFolder
from aista.errors import DataError

__all__ = ["BadRow", "Window", "WindowReader", "shard_order"]

BadRow = tuple[str, str, str]
"""Place, id, and what is wrong."""

_EPOCHS = 1 << 32  # of which a run sees fewer: a window's number stands above the epoch's


@dataclass(frozen=True)
class Window:
    """The rows of the shards that are read together, and their batches.

    Attributes:
        rows: Usable rows, in the shards' order.
        batches: Places in ``rows`` of every global batch, in order.
        num_met: Rows in the shards that the task has a use for.
        bad: The rows among them that cannot be used.
        fingerprint: Fingerprint of the ids in the batches.
    """

    rows: tuple[Row, ...]
    batches: tuple[tuple[int, ...], ...]
    num_met: int
    bad: tuple[BadRow, ...]
    fingerprint: str


def shard_order(num_shards: int, shards_at_once: int, *, seed: int, epoch: int) -> list[tuple[int, ...]]:
    """The windows of an epoch: each shard once, in an order determined by seed and epoch.

    Windows differ by at most one shard. A window's shards stand in the order of their numbers, so that rows of a corpus
    that is one window have the places that they have in its manifest.
    """
    order = list(range(num_shards))
    random.Random(f"shards:{seed}:{epoch}").shuffle(order)
    count = -(-num_shards // shards_at_once)
    cuts = [number * num_shards // count for number in range(count + 1)]
    return [tuple(sorted(order[start:end])) for start, end in pairwise(cuts)]


@dataclass(frozen=True)
class WindowReader:
    """Reads windows; the result is a function of (shards, seed, epoch, window, processes) only.

    Attributes:
        stream: The stream with the shards.
        shards: All of them.
        check: Rows -> what is wrong with each, "" where nothing is.
        reject: Row -> why the task has no use for it, or "".
        batches: (rows, processes) -> their batches; raises DataError where there can be none.
        seed: Seed of the order of the shards.
        with_audio: Rows need audio.
    """

    stream: ShardFolder
    shards: tuple[Shard, ...]
    check: Callable[[Sequence[Row]], Sequence[str]]
    reject: Callable[[Row], str]
    batches: Callable[[Sequence[Row], int], LengthBatches]
    seed: int
    with_audio: bool = True

    def order(self, epoch: int) -> list[tuple[int, ...]]:
        """The shards of each window of an epoch."""
        return shard_order(len(self.shards), self.stream.shards_at_once, seed=self.seed, epoch=epoch)

    @cached_property
    def fingerprint(self) -> str:
        """Names and sizes of the shards' files, which must be the same when a run is resumed."""
        digest = hashlib.blake2b(digest_size=8)
        for file in (file for shard in self.shards for file in shard.files):
            digest.update(f"{file.name}\t{file.stat().st_size}\n".encode())
        return digest.hexdigest()

    def read(self, epoch: int, number: int, world_size: int) -> Window:
        """A window of an epoch, in batches for so many processes.

        Raises:
            DataError: a shard cannot be read, or the rows are too few for the processes.
        """
        shards = [self.shards[index] for index in self.order(epoch)[number]]
        rows, num_met, bad = self._rows(shards)
        try:
            batches = self.batches(rows, world_size)
        except DataError as error:
            first = f"{bad[0][0]}: {bad[0][1]}: {bad[0][2]}; " if bad else ""
            raise DataError(
                f"{self.stream.path}: {len(rows)} of {num_met} rows can be used in {len(shards)} shards from "
                f"{shards[0].files[0].name} on: {first}{error}; or raise data.stream.config.shards_at_once"
            ) from error
        plan = batches.plan(epoch + number * _EPOCHS)
        digest = hashlib.blake2b(digest_size=8)
        for batch in plan:
            digest.update("\t".join(rows[place].id for place in batch).encode() + b"\n")
        return Window(tuple(rows), tuple(plan), num_met, tuple(bad), digest.hexdigest())

    def _rows(self, shards: Sequence[Shard]) -> tuple[list[Row], int, list[BadRow]]:
        places: list[str] = []
        rows: list[Row] = []
        bad: list[BadRow] = []
        seen: dict[str, str] = {}
        num_met = 0
        for shard in shards:
            for found in self.stream.rows(shard, with_audio=self.with_audio):
                if not found.kind and self.reject(found.row):
                    continue
                num_met += 1
                first = seen.setdefault(found.row.id, found.place)
                fault = f"{found.kind}: {found.fault}" if found.kind else ""
                if not fault and first != found.place:
                    fault = f"repeated id: ids must be unique, {first} has it too; name one of them otherwise"
                if fault:
                    bad.append((found.place, found.row.id, fault))
                else:
                    places.append(found.place)
                    rows.append(found.row)
        faults = self.check(rows)
        bad += [(place, row.id, fault) for place, row, fault in zip(places, rows, faults, strict=True) if fault]
        return [row for row, fault in zip(rows, faults, strict=True) if not fault], num_met, bad
