"""Mixtures: the share of an epoch for each part of the rows, and the choice of its rows.

The share of a part of n rows is in proportion to ``weight * n^(1/T)``: sampling with a temperature (Arivazhagan et al.
2019, arXiv 1907.05019), with a factor. Each part is gone through in passes of its own: an order of all its rows, then
another one. An epoch takes what comes next in each part, so that a part above its share of the rows is read more than
once an epoch, and of a part below it other rows in each epoch, until all were read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mixture", "shares"]

Ints = NDArray[np.int64]

MOST_PASSES = 1000
"""Maximum passes over a part per epoch; also the number of epochs within which each part must give a row."""
_GOLDEN = 0x9E3779B97F4A7C15


def shares(sizes: Sequence[int], weights: Sequence[float], temperature: float) -> list[float]:
    """The share of each part, ``weight * size^(1/T)`` over their sum, by logarithms: nothing overflows."""
    largest = math.log(max(sizes))
    logs = [
        math.log(weight) + (math.log(size) - largest) / temperature for size, weight in zip(sizes, weights, strict=True)
    ]
    highest = max(logs)
    factors = [math.exp(value - highest) for value in logs]
    total = math.fsum(factors)
    return [factor / total for factor in factors]


@dataclass(frozen=True, eq=False)
class Mixture:
    """The parts of the training rows, and the rows that each epoch reads of them.

    A function of (parts, shares, seed, epoch) alone: no epoch depends on those before it.

    Attributes:
        names: Names of the parts.
        part: ``[rows]`` number of each row's part.
        shares: Share of each part, above 0; they sum to 1.
        seed: Decides the orders.

    Raises:
        ValueError: a part would be read more than ``MOST_PASSES`` times an epoch, or hardly ever.
    """

    names: tuple[str, ...]
    part: Ints
    shares: tuple[float, ...]
    seed: int

    def __post_init__(self) -> None:
        for name, size, quota in zip(self.names, self.sizes.tolist(), self.quotas.tolist(), strict=True):
            if not 1 / MOST_PASSES <= quota <= MOST_PASSES * size:
                raise ValueError(
                    f"an epoch must read at least 1/{MOST_PASSES:,} row of a part and no part more than "
                    f"{MOST_PASSES:,} times, got {quota:.2g} rows of the {size:,} of {name!r}; bring the "
                    "weights closer together, the temperature nearer to 1, or join small parts into one manifest"
                )

    @cached_property
    def sizes(self) -> Ints:
        """``[parts]`` rows of each part."""
        return np.bincount(self.part, minlength=len(self.names)).astype(np.int64)

    @cached_property
    def quotas(self) -> NDArray[np.float64]:
        """``[parts]`` rows that an epoch reads of each part on average: as many in all as there are rows."""
        # Twelve digits: a quota that is a whole number, as all are at temperature 1, is one exactly.
        return np.array([float(f"{share * len(self.part):.12g}") for share in self.shares])

    @property
    def passes(self) -> NDArray[np.float64]:
        """``[parts]`` how often an epoch reads each part."""
        return np.asarray(self.quotas / self.sizes)

    def read_before(self, epoch: int) -> Ints:
        """``[parts]`` rows that the epochs before ``epoch`` read of each part: within one of ``epoch * quotas``.

        The parts round at different epochs, so that the epochs have about the same number of rows.
        """
        phases = (0.5 + np.arange(len(self.names)) * (_GOLDEN / 2**64)) % 1
        return np.floor(epoch * self.quotas + phases).astype(np.int64)

    def draw(self, epoch: int) -> tuple[Ints, Ints]:
        """``[drawn]`` the rows that an epoch reads, ascending, a repeated one several times; and the pass of each.

        A row is read once in each pass of its part, so that no two readings of a row have the same pass.
        """
        first, start = np.divmod(self.read_before(epoch), self.sizes)
        last, end = np.divmod(self.read_before(epoch + 1), self.sizes)
        in_one = first == last
        head = self._of_pass(first, start, np.where(in_one, end, self.sizes))
        tail = self._of_pass(last, np.zeros_like(end), np.where(in_one, 0, end))
        repeats = np.maximum(last - first - 1, 0)[self.part]  # whole passes between the two
        whole = np.repeat(np.arange(len(self.part)), repeats)
        number = np.arange(len(whole)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        rows = np.concatenate([head, whole, tail])
        passes = np.concatenate([first[self.part[head]], first[self.part[whole]] + 1 + number, last[self.part[tail]]])
        order = np.argsort(rows, kind="stable")
        return rows[order], passes[order]

    def _of_pass(self, number: Ints, start: Ints, end: Ints) -> Ints:
        """Rows ``start`` to ``end`` (exclusive) of pass ``number`` of each part; all arguments ``[parts]``."""
        is_whole = (start == 0) & (end == self.sizes)
        some = np.flatnonzero((~is_whole & (start < end))[self.part])
        part = self.part[some]
        some = some[np.lexsort((_hash(self.seed, number[part], some), part))]
        part = self.part[some]
        rank = np.arange(len(some)) - np.searchsorted(part, part)
        return np.concatenate([np.flatnonzero(is_whole[self.part]), some[(start[part] <= rank) & (rank < end[part])]])


def _hash(seed: int, passes: Ints, rows: Ints) -> NDArray[np.uint64]:
    """A random number for each row and pass, by SplitMix64 (Steele, Lea & Flood 2014)."""
    state = np.full(1, seed % 2**64, np.uint64)
    for values in (passes, rows):
        state = _finalise(state + np.uint64(_GOLDEN)) ^ values.astype(np.uint64)
    return _finalise(state + np.uint64(_GOLDEN))


def _finalise(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))
