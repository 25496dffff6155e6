"""The largest batch whose training step fits into a memory, found by tracing steps of real lengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import nn

from aista.data.batching import SequentialBatches
from aista.engine.batch_plan import batch_limits
from aista.engine.cost.estimate import costliest_layers
from aista.engine.cost.fit_search import Tried, search
from aista.engine.cost.memory_estimate import MemoryEstimate, estimate_memory, weigh
from aista.engine.cost.rows import RowLengths
from aista.engine.cost.trace import BatchSizes, Tracer
from aista.engine.training.blocks import apply_activation_checkpointing
from aista.errors import RunError
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment

__all__ = ["GIB", "MARGIN", "Fit", "fit_batch", "fitted_option"]

GIB = 2**30
MARGIN = 0.1
"""Fraction of the memory kept free for allocations that a trace does not show."""

FittedOption = Literal["max_batch_positions", "max_batch_seconds", "batch_size"]


@dataclass(frozen=True)
class Fit:
    """Result of the search.

    Attributes:
        option: The option of ``data`` that limits the batches.
        now: Its value in the config.
        tried: Every value traced, ascending.
        budget: Bytes that one process may take, the margin taken off.
        ceiling: The value from which on batches grow no more, whatever the memory.
        origin: Origin of the row lengths.
        unit: Unit of ``Tried.longest``.
        checkpointed: Bytes of the smallest batch with activation checkpointing; None where some batch fits or the
            config turns that on already.
    """

    option: FittedOption
    now: float
    tried: tuple[Tried, ...]
    budget: int
    ceiling: int
    origin: str
    unit: str
    checkpointed: int | None = None

    @property
    def best(self) -> Tried | None:
        """The largest value that fits; None where the smallest does not."""
        return max((one for one in self.tried if one.memory.total <= self.budget), default=None)

    def to_json(self) -> dict[str, Any]:
        """As plain data: memory in bytes."""
        best = self.best
        return {
            "option": f"data.{self.option}",
            "now": self.now,
            "proposed": None if best is None else best.value,
            "ceiling": self.ceiling,
            "budget": self.budget,
            "margin": MARGIN,
            "with_checkpointing": self.checkpointed,
            "tried": [
                {
                    "value": one.value,
                    "rows": one.rows,
                    "longest": one.longest,
                    "peak": one.memory.total,
                    "fits": one.memory.total <= self.budget,
                }
                for one in self.tried
            ],
        }


def fitted_option(experiment: Experiment, task: Task) -> FittedOption:
    """The most precise option of ``data`` that limits the batch size, among those that the config sets."""
    data = experiment.sections.data
    if data.max_batch_positions:
        return "max_batch_positions"
    return "max_batch_seconds" if data.max_batch_seconds and task.feature is not None else "batch_size"


def fit_batch(
    experiment: Experiment,
    task: Task,
    model: nn.Module,
    rows: RowLengths,
    *,
    gib: float,
    processes: int = 1,
    on_gpu: bool = True,
) -> Fit:
    """Find the largest value of the option that limits the batches (``fitted_option``) within a memory.

    For each value the rows are cut into batches from the longest down. That of the longest rows is traced, as one
    process has it, and those that hold 2 % more of padded input, of padded positions or of target tokens.

    Args:
        experiment: The run; its other limits are kept.
        task: Its task, built without weights.
        model: Its bare model with what is trained marked; it is used up.
        rows: Lengths of the training rows.
        gib: Memory of one process in GiB, of which ``MARGIN`` is kept free.
        processes: Number of processes that share a batch.
        on_gpu: Whether to count the memory that a GPU's kernels keep in place of the CPU's.

    Raises:
        RunError: the step cannot be run on shapes alone, or so many processes cannot each have a row of every batch.
    """
    option = fitted_option(experiment, task)
    candidates = _Candidates(experiment, task, rows, rows.positions(task, model), option, processes)
    steps = _Steps(experiment, task, model, processes, on_gpu=on_gpu)

    def attempt(value: int) -> Tried:
        batches = candidates.of(value)
        tried = [Tried(value, len(batch), longest, steps.memory(share), share) for batch, longest, share in batches]
        return max(tried, key=lambda one: one.memory.total)

    least, most = candidates.range
    budget = int(gib * GIB * (1 - MARGIN))
    now = getattr(experiment.sections.data, option)
    tried, checkpointed = search(attempt, math.ceil(now), least, most, budget), None
    if tried[0].memory.total > budget and not experiment.sections.trainer.activation_checkpointing:
        steps.checkpoint()
        checkpointed = attempt(least).memory.total
    unit = "tokens" if task.feature is None else "s"
    return Fit(option, now, tried, budget, most, rows.origin, unit, checkpointed)


class _Steps:
    """Memory of a process for its rows of a batch; each set of lengths is traced once."""

    def __init__(self, experiment: Experiment, task: Task, model: nn.Module, processes: int, *, on_gpu: bool) -> None:
        config = experiment.sections.trainer
        self._config, self._processes = config, processes
        self._weights, self._layers = weigh(model), costliest_layers(task, model)
        self._tracer = Tracer(task, model, bfloat16=config.mixed_precision != "off", on_gpu=on_gpu)
        self._tracer.encoded = experiment.sections.data.encoder_cache is not None
        self._known: dict[BatchSizes, MemoryEstimate] = {}
        if config.activation_checkpointing:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Turn activation checkpointing on for the steps to come."""
        apply_activation_checkpointing(self._tracer.model, 1)
        self._known.clear()

    def memory(self, share: BatchSizes) -> MemoryEstimate:
        """Memory of a step on these rows."""
        if share not in self._known:
            self._known[share] = estimate_memory(
                self._weights,
                self._tracer.trace(share, self._layers),
                processes=self._processes,
                sharded=self._config.data_parallelism == "fsdp",
                accumulates=self._config.grad_accumulation > 1,
            )
        return self._known[share]


class _Candidates:
    """Candidates for the batch with the highest memory, by value of the option."""

    def __init__(
        self,
        experiment: Experiment,
        task: Task,
        rows: RowLengths,
        positions: tuple[int, ...] | None,
        option: FittedOption,
        processes: int,
    ) -> None:
        self._data = experiment.sections.data
        self._feature = task.feature
        self._rows = rows
        self._positions = positions
        self._option = option
        self._processes = processes
        texts = [source + target for source, target in zip(rows.source, rows.target, strict=True)]
        self._lengths = rows.seconds if task.feature is not None else texts

    @property
    def range(self) -> tuple[int, int]:
        """The smallest value that gives each process a row, and the value from which another limit applies."""
        most_rows, data = min(self._data.batch_size, len(self._lengths)), self._data
        if self._option == "batch_size":
            return self._processes, max(self._processes, min(len(self._lengths), 1_000_000))
        if self._option == "max_batch_seconds":
            longest = max(self._lengths)
            least = math.ceil(max(longest * self._processes, data.max_seconds))
        else:
            assert self._positions is not None
            longest = max(self._positions)
            least = longest * self._processes
        return least, max(least, math.ceil(longest * most_rows))

    def of(self, value: int) -> list[tuple[tuple[int, ...], float, BatchSizes]]:
        """Some batches of rows, longest first, each with its longest row and a process' share of it."""
        changes: Any = {self._option: value}
        data = replace(self._data, **changes)
        seconds = self._lengths if self._feature is not None else None
        limits = tuple(batch_limits(data, seconds, self._positions))
        try:
            plan = SequentialBatches(
                [-length for length in self._lengths],
                batch_size=data.batch_size,
                limits=limits,
                world_size=self._processes,
            ).plan(0)
        except ValueError as error:
            raise RunError(f"for {self._processes} processes: {error}, or plan for fewer with --processes") from error
        first = plan[0]
        if len(plan) > 1:  # a rest of fewer rows than processes joins the batch before it
            first = (*first, *plan[1][: self._processes - 1])
        chosen = [first]
        for measure in self._measures():
            heaviest = max(plan, key=measure)
            if measure(heaviest) > 1.02 * max(map(measure, chosen)):
                chosen.append(heaviest)
        shares = [self._rows.batch(batch, self._feature).share(0, self._processes) for batch in chosen]
        return [(batch, self._lengths[batch[0]], share) for batch, share in zip(chosen, shares, strict=True)]

    def _measures(self) -> Iterator[Callable[[tuple[int, ...]], float]]:
        """Sizes by which a batch may be the largest: padded input, target tokens, padded positions."""
        yield self._padded(self._lengths)
        yield lambda batch: sum(self._rows.target[row] for row in batch)
        if self._positions is not None:
            yield self._padded(self._positions)

    @staticmethod
    def _padded(sizes: Sequence[float]) -> Callable[[tuple[int, ...]], float]:
        return lambda batch: len(batch) * max(sizes[row] for row in batch)
