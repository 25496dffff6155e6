"""Composition and order of batches, as a function of (lengths, seed, epoch) only."""

from __future__ import annotations

import random
import sys
from array import array
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from aista.data.mixture import Mixture

__all__ = ["BatchLimit", "BatchPlan", "Batches", "LengthBatches", "SequentialBatches"]

_BLOCK = 1 << 16  # rows whose lengths are objects at a time


class BatchPlan(Protocol):
    """Row numbers of every global batch of an epoch."""

    def plan(self, epoch: int) -> Batches:
        """The epoch's batches, in order."""


class Batches(Sequence[tuple[int, ...]]):
    """Batches of row numbers, held as two arrays: a million rows take 8 MB. They equal any sequence of equal tuples.

    Args:
        order: ``[rows]`` row numbers.
        ends: For each batch, the index in ``order`` after its last row.
        turns: The order of the batches; None for the order of ``ends``.
        passes: ``[rows]`` how often each row was read before; None where that is once per earlier epoch.
    """

    def __init__(
        self,
        order: NDArray[np.int64],
        ends: Sequence[int],
        turns: Sequence[int] | None = None,
        passes: NDArray[np.int64] | None = None,
    ) -> None:
        self._order = order
        self._ends = ends
        self._turns = range(len(ends)) if turns is None else turns
        self._passes = passes

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> tuple[int, ...]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, ...]]: ...

    @override
    def __getitem__(self, index: int | slice) -> tuple[int, ...] | list[tuple[int, ...]]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return tuple(self._order[self._places(index)].tolist())

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Batches({list(self)})"

    def shuffled(self, generator: random.Random) -> Batches:
        """The same batches in a random order drawn by the generator."""
        turns = list(self._turns)
        generator.shuffle(turns)
        return Batches(self._order, self._ends, turns, self._passes)

    def passes(self, index: int, epoch: int) -> tuple[int, ...]:
        """How often each row of a batch was read before: ``epoch`` times where each epoch reads all rows once."""
        if self._passes is None:
            return (epoch,) * len(self[index])
        return tuple(self._passes[self._places(index)].tolist())

    def _places(self, index: int) -> slice:
        batch = self._turns[index]
        return slice(self._ends[batch - 1] if batch else 0, self._ends[batch])


@dataclass(frozen=True)
class BatchLimit:
    """A limit on padded batches: on the size of the largest row times the number of rows.

    Attributes:
        option: Name of the option that sets it, for messages.
        sizes: ``[rows]`` the size of each row, in any unit.
        maximum: In the same unit.
        remedy: Advice for the user where a batch cannot hold a row for each process.
    """

    option: str
    sizes: Sequence[float] | NDArray[np.float64] | NDArray[np.int64]
    maximum: float
    remedy: str

    def most_rows(self, batch_size: int) -> NDArray[np.int64]:
        """``[rows]`` maximum number of rows, up to ``batch_size``, of a batch in which this row is the largest."""
        sizes = np.asarray(self.sizes, dtype=np.float64)
        with np.errstate(divide="ignore", over="ignore"):
            most = np.minimum(self.maximum / sizes, batch_size).astype(np.int64)
        # A quotient is rounded, so that a product may pass the maximum, or the next one keep it.
        most -= sizes * most > self.maximum
        most += (most < batch_size) & (sizes * (most + 1) <= self.maximum)
        return most


@dataclass(frozen=True)
class LengthBatches:
    """Length-bucketed training batches in shuffled order; each row once per epoch, or as often as a mixture says.

    Each epoch scales every length by a random factor in ``1 ± noise``, sorts by it, cuts the sorted
    rows into batches and shuffles the batches. The number of processes has no effect, except that a
    batch has at least ``world_size`` rows: a shorter rest joins the batch before it, which may then
    exceed the limits by ``world_size - 1`` rows.

    Attributes:
        lengths: Length of each row, in any unit.
        batch_size: Rows of a global batch.
        limits: Limits on the padded batch, all of which apply.
        seed: With the epoch, the only source of randomness.
        world_size: Processes that share a batch.
        noise: Amount of random scaling of lengths; 0 sorts strictly.
        mixture: Choice of rows per epoch; None for all of them, once each. A mixture that reads all of them once gives
            the same batches.

    Raises:
        ValueError: fewer rows than processes, ``batch_size`` below ``world_size``, or a row so long that
            ``world_size`` rows of its size pass a limit.
    """

    lengths: Sequence[float] | NDArray[np.float64]
    _: KW_ONLY
    batch_size: int
    limits: tuple[BatchLimit, ...] = ()
    seed: int
    world_size: int = 1
    noise: float = 0.1
    mixture: Mixture | None = None

    def __post_init__(self) -> None:
        num_rows = len(self.lengths) if self.mixture is None else int(self.mixture.read_before(1).sum())
        _check(num_rows, self.batch_size, self.limits, self.world_size)

    def plan(self, epoch: int) -> Batches:
        """The batches of ``epoch``; within a batch, rows go from short to long."""
        lengths = np.asarray(self.lengths, dtype=np.float64)
        rows, passes = (np.arange(len(lengths)), None) if self.mixture is None else self.mixture.draw(epoch)
        generator = random.Random(f"{self.seed}:{epoch}")
        shuffled = array("q", range(len(rows)))
        generator.shuffle(shuffled)  # rows of equal length meet others each epoch
        order = np.frombuffer(shuffled, dtype=np.int64)
        scaled = lengths[rows[order]] * (1 + self.noise * _uniform(generator, len(order)))
        order = order[np.argsort(scaled, kind="stable")]
        rows, passes = rows[order], None if passes is None else passes[order]
        ends = _ends(rows, _most_rows(len(lengths), self.batch_size, self.limits), self.world_size)
        return Batches(rows, ends, passes=passes).shuffled(generator)


class SequentialBatches:
    """Evaluation batches: rows from short to long, the same in every epoch. Arguments as in ``LengthBatches``."""

    def __init__(
        self,
        lengths: Sequence[float] | NDArray[np.float64],
        *,
        batch_size: int,
        limits: Sequence[BatchLimit] = (),
        world_size: int = 1,
    ) -> None:
        _check(len(lengths), batch_size, limits, world_size)
        order = np.argsort(np.asarray(lengths, dtype=np.float64), kind="stable")
        self._batches = Batches(order, _ends(order, _most_rows(len(order), batch_size, limits), world_size))

    def plan(self, epoch: int) -> Batches:
        """All batches; ``epoch`` changes nothing."""
        return self._batches


def _uniform(generator: random.Random, count: int) -> NDArray[np.float64]:
    """The next ``count`` values of ``generator.uniform(-1, 1)``, drawn by NumPy from the same state."""
    version, (*key, position), gauss = generator.getstate()
    state = np.random.RandomState()
    state.set_state(("MT19937", np.array(key, dtype=np.uint32), int(position), 0, 0.0))
    draws = -1 + 2 * state.random_sample(count)
    _, new_key, new_position, *_ = state.get_state(legacy=True)
    generator.setstate((version, (*map(int, new_key), int(new_position)), gauss))
    return np.asarray(draws, dtype=np.float64)


def _check(num_rows: int, batch_size: int, limits: Sequence[BatchLimit], world_size: int) -> None:
    if num_rows < world_size:
        raise ValueError(
            f"every process needs a row, got {num_rows} rows for {world_size} processes; "
            "start fewer processes or add rows"
        )
    if batch_size < world_size:
        raise ValueError(
            f"batch_size counts rows over all processes and must be at least their number ({world_size}), "
            f"got {batch_size}; raise it"
        )
    for limit in limits:
        largest = int(np.argmax(limit.sizes))
        size = limit.sizes[largest]
        if size * world_size > limit.maximum:
            raise ValueError(
                f"a batch must hold {world_size} rows of any size, but row {largest} of size {size:g} times "
                f"{world_size} exceeds {limit.option} {limit.maximum:g}; {limit.remedy}"
            )


def _most_rows(num_rows: int, batch_size: int, limits: Sequence[BatchLimit]) -> NDArray[np.int64]:
    """``[rows]`` maximum number of rows of a batch with this row."""
    most = np.full(num_rows, batch_size)
    for limit in limits:
        most = np.minimum(most, limit.most_rows(batch_size))
    return most


def _ends(order: NDArray[np.int64], most: NDArray[np.int64], world_size: int) -> list[int]:
    """The places in ``order`` where batches end; ``most``, ``[rows]``: how many rows a batch with each may have."""
    ends: list[int] = []
    count, room = 0, sys.maxsize
    for start in range(0, len(order), _BLOCK):
        for place, allowed in enumerate(most[order[start : start + _BLOCK]].tolist(), start):
            room = min(room, allowed)
            if count and count >= room:
                ends.append(place)
                count, room = 0, allowed
            count += 1
    if count < world_size and ends:
        ends.pop()
    return [*ends, len(order)]
