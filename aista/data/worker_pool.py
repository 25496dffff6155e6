"""Runs jobs ahead of time in worker processes and returns results in the order of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from aista.data.reading_processes import START_METHOD
from aista.errors import AistaError, DataError, PluginError, RunError
from aista.plugin_faults import blame

__all__ = ["WorkerPool"]

Job = TypeVar("Job")
Result = TypeVar("Result")


class WorkerPool(Generic[Job, Result]):
    """A function in worker processes that are kept between calls of ``map``, until ``close``.

    Args:
        function: Job -> result; picklable where processes are spawned.
        num_workers: Processes; 0 calls the function in this one, when a result is asked for.
    """

    def __init__(self, function: Callable[[Job], Result], num_workers: int) -> None:
        self._function = function
        self._num_workers = num_workers
        self._jobs = _Jobs()
        self._loader: DataLoader[Result | DataError | PluginError] | None = None

    def map(self, jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield the results in the order of the jobs, which are read from their iterator a few ahead.

        Raises:
            DataError: what the function raised; other errors of aista become one.
            PluginError: a plug-in's part of it fails in a worker.
            RunError: a worker process died.
        """
        if self._num_workers == 0:
            yield from map(self._function, jobs)
            return
        if self._loader is None:
            self._loader = self._start()
        self._jobs.jobs = jobs
        try:
            for result in self._loader:
                if isinstance(result, (DataError, PluginError)):
                    raise result
                yield result
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            self.close()
            raise RunError(
                f"a data worker process died ({str(error).splitlines()[0]}), often because memory ran out; "
                "lower data.num_workers, or set it to 0 to see the error itself"
            ) from error

    def close(self) -> None:
        """End the worker processes. A later ``map`` starts new ones."""
        iterator = getattr(self._loader, "_iterator", None)
        self._loader = None
        if iterator is not None:
            iterator._shutdown_workers()

    def _start(self) -> DataLoader[Result | DataError | PluginError]:
        return DataLoader(
            _Calls(self._function),
            sampler=self._jobs,
            batch_size=None,
            num_workers=self._num_workers,
            collate_fn=_unchanged,
            multiprocessing_context=START_METHOD,
            persistent_workers=True,
            generator=torch.Generator(),  # its own, so that the number of workers leaves the global one alone
        )


class _Jobs(Sampler[Any]):
    """Passes the jobs of successive ``map`` calls to the workers; it lives as long as they do."""

    def __init__(self) -> None:
        self.jobs: Iterable[Any] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.jobs)


class _Calls(Dataset[Any]):
    """The function run in a worker. User errors are returned as values: DataLoader would wrap them in a traceback."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __getitem__(self, job: Any) -> Any:
        try:
            return self._function(job)
        except AistaError as error:
            return DataError(str(error))
        except Exception as error:
            fault = blame(error)
            if fault is None:
                raise
            return fault


def _unchanged(result: Any) -> Any:
    return result
