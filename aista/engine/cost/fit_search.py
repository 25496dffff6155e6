"""The search for the largest value of an option whose batches fit into a memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from aista.engine.cost.memory_estimate import MemoryEstimate
from aista.engine.cost.trace import BatchSizes

__all__ = ["NEARLY", "Tried", "search"]

NEARLY = 0.98
"""Fraction of the budget at which the search ends."""


class Tried(NamedTuple):
    """A value of the option, and the heaviest batch that it allows.

    Attributes:
        value: Value of the option.
        rows: Rows of that batch, all processes together.
        longest: Its longest row: seconds, or tokens in text tasks.
        memory: Memory of one process.
        share: The rows of the batch that this process has.
    """

    value: int
    rows: int
    longest: float
    memory: MemoryEstimate
    share: BatchSizes


def search(attempt: Callable[[int], Tried], start: int, least: int, most: int, budget: int) -> tuple[Tried, ...]:
    """Try values until one takes nearly the whole budget, or the next one is known not to fit.

    Memory is taken to be a line over the value, from what the model holds without a batch on: a trace of a large model
    takes a minute, so that few are better than exact ones.

    Args:
        attempt: Traces a value; memory must not fall with it.
        start: First value to try.
        least: Smallest value.
        most: Largest value.
        budget: Bytes.

    Returns:
        All that was tried, ascending. ``least`` is among them where nothing fits.
    """
    tried: dict[int, Tried] = {}
    value = min(max(start, least), most)
    while True:
        one = tried[value] = attempt(value)
        if value == least and one.memory.total > budget:
            break
        if one.memory.total <= budget and (value == most or one.memory.total >= NEARLY * budget):
            break
        following = _next(list(tried.values()), least, most, budget)
        if following in tried:
            break
        value = following
    return tuple(sorted(tried.values()))


def _next(tried: list[Tried], least: int, most: int, budget: int) -> int:
    """The value to try next; an already tried one if no value lies between fitting and not fitting ones."""
    low = max((one for one in tried if one.memory.total <= budget), default=None)
    high = min((one for one in tried if one.memory.total > budget), default=None)
    last = high or low
    assert last is not None
    empty = last.memory.total - last.memory.activations
    start, held = (0, empty) if low is None or high is None else (low.value, low.memory.total)
    slope = (last.memory.total - held) / (last.value - start)
    wanted = start + ((1 + NEARLY) / 2 * budget - held) / slope if slope > 0 else math.inf
    if high is None:
        assert low is not None
        return min(max(math.ceil(min(wanted, 8 * low.value)), low.value + 1), most)
    first = least if low is None else min(low.value + 1, high.value - 1)
    if len(tried) % 3 == 0:  # no line: halve what is left
        wanted = (first + high.value) / 2
    if slope <= 0:
        wanted = first
    return min(max(int(wanted), first), high.value - 1)
