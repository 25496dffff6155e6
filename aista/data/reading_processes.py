"""Pools of processes that read and decode."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch

from aista.errors import RunError

__all__ = ["START_METHOD", "num_cores", "reading_processes"]

START_METHOD = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
# fork keeps components from plug-in files usable in workers; each worker runs one thread


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def reading_processes(count: int = 0) -> Iterator[Executor]:
    """Yield a pool of this many processes, or one per core; jobs not started are cancelled when the block ends.

    Raises:
        RunError: one of them died.
    """
    context = multiprocessing.get_context(START_METHOD)
    pool = ProcessPoolExecutor(count or num_cores(), mp_context=context, initializer=_start)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise RunError(
            "a process that reads data died, often because memory ran out; make room, or choose a lighter data.inspect"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    torch.set_num_threads(1)
