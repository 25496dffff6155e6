"""Fraction of the device's memory bandwidth that a step uses.

    roofline = least seconds / median seconds,    least seconds = least bytes / bytes a second of a copy

The bytes that any step must move (``least_bytes``) over the rate at which a copy on the same device, in the same run,
reads and writes. It can pass 1 where a step's tensors stay in caches, which copy faster than memory.
"""

from __future__ import annotations

import statistics

import torch

from benchmarks.ot.clock import make_clock
from benchmarks.ot.workload import Case, least_bytes

__all__ = ["copy_rate", "least_seconds"]

COPY_BYTES = 1 << 29  # more than any cache holds
COPIES = 5  # timed, after one that is not


def copy_rate(device: str) -> float:
    """Memory bandwidth in bytes per second: reads plus writes of a copy, median of several."""
    source = torch.zeros(COPY_BYTES, dtype=torch.int8, device=device)
    target = torch.zeros_like(source)
    clock = make_clock(device)

    def copy() -> None:
        target.copy_(source)

    seconds = [clock(copy) for _ in range(1 + COPIES)][1:]
    return 2 * COPY_BYTES / statistics.median(seconds)


def least_seconds(case: Case, rate: float) -> float:
    """Seconds that a step's ``least_bytes`` take at ``rate`` bytes a second."""
    return least_bytes(case) / rate
