"""Seconds of one step, on the CPU or on a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from benchmarks.ot.rows.base import Step

__all__ = ["WARM_UP", "make_clock"]

WARM_UP = {"cpu": 1, "cuda": 10}  # rounds
CACHE_BYTES = 1 << 28  # more than any GPU's last cache holds


def make_clock(device: str) -> Callable[[Step], float]:
    """A function that runs a step and returns its seconds.

    On a GPU the caches are overwritten first, as by the rest of a training step, and the step begins on an idle device:
    what the host takes to launch its kernels counts.
    """
    return _time_on_host if device == "cpu" else _gpu_clock(device)


def _time_on_host(step: Step) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def _gpu_clock(device: str) -> Callable[[Step], float]:
    cache = torch.empty(CACHE_BYTES, dtype=torch.int8, device=device)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def time_on_gpu(step: Step) -> float:
        cache.zero_()
        torch.cuda.synchronize()
        start.record()
        step()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000

    return time_on_gpu
