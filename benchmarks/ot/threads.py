"""Limits every library to a number of threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["limited_threads"]

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def limited_threads(number: int) -> Iterator[None]:
    """Within it, torch and whatever starts its threads now use ``number`` of them; child processes too.

    On Linux the process is also held to that many cores, which is what JAX goes by. A library that was already loaded
    keeps the threads it has started.
    """
    variables, threads = {name: os.environ.get(name) for name in _VARIABLES}, torch.get_num_threads()
    os.environ.update(dict.fromkeys(_VARIABLES, str(number)))
    torch.set_num_threads(number)
    if sys.platform == "linux":
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(cores)[:number])
    try:
        yield
    finally:
        if sys.platform == "linux":
            os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)
        for name, value in variables.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
