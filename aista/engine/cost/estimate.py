"""Estimates the cost of an experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from torch import nn

from aista.engine.cost.device import Device
from aista.engine.cost.memory_estimate import MemoryEstimate, Weights, estimate_memory, weigh
from aista.engine.cost.rows import Batches, RowLengths, Summary, plan_batches, summarize
from aista.engine.cost.trace import Trace, Tracer
from aista.engine.training.blocks import apply_activation_checkpointing
from aista.modules.lsm import LargeSpeechTextModel
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment
from aista.tasks.speech_translation import SpeechTranslationTask

__all__ = ["CostEstimate", "costliest_layers", "estimate_cost"]


@dataclass(frozen=True)
class CostEstimate:
    """Estimated cost of a run. Operations are of a whole step, memory is of one process.

    Attributes:
        origin: Origin of the row lengths.
        rows: Lengths over rows, by name.
        num_rows: Rows of an epoch.
        batches: Batches of an epoch.
        accumulation: Batches of a step.
        batch_size: Rows of the batch that the operations are of; its size is nearest to the mean.
        layers: Aligned layers; None without alignment.
        step: The step of mean size.
        plain: The same for cross-entropy only; None without alignment.
        epoch_operations: Operations of an epoch.
        largest_size: Rows of the largest batch.
        memory: By number of processes and kind of sharding, at the largest batch.
        activations: Peak of forward and backward of one process alone at the largest batch, by whether activation
            checkpointing is on.
        checkpointing: Whether the config turns activation checkpointing on.
        device: GPU of the plan.
        utilization: Share of the device's peak that is assumed.
    """

    origin: str
    rows: Mapping[str, Summary]
    num_rows: int
    batches: int
    accumulation: int
    batch_size: int
    layers: tuple[int, ...] | None
    step: Trace
    plain: Trace | None
    epoch_operations: float
    largest_size: int
    memory: tuple[MemoryEstimate, ...]
    activations: Mapping[bool, int]
    checkpointing: bool
    device: Device
    utilization: float

    @property
    def steps(self) -> float:
        """Steps of an epoch."""
        return self.batches / self.accumulation

    @property
    def added(self) -> float | None:
        """Operations added by alignment, relative to a step without it; None without alignment."""
        return None if self.plain is None else self.step.total.total / self.plain.total.total - 1

    @property
    def epoch_seconds(self) -> float:
        """Time of an epoch on one device."""
        return self.device.seconds(self.step.by_type, self.utilization) * self.epoch_operations / self.step.total.total

    def to_json(self) -> dict[str, Any]:
        """As plain data: operations as numbers, memory in bytes, time in seconds."""
        return {
            "rows": {"origin": self.origin, "count": self.num_rows}
            | {name: summary._asdict() for name, summary in self.rows.items()},
            "batches_per_epoch": self.batches,
            "steps_per_epoch": self.steps,
            "rows_of_batch": self.batch_size,
            "operations_of_batch": {
                f"{name} {number}": counts._asdict() for (name, number), counts in self.step.operations.items()
            },
            "aligned_layers": self.layers,
            "alignment_adds": self.added,
            "rows_of_largest_batch": self.largest_size,
            "memory": [asdict(memory) | {"total": memory.total} for memory in self.memory],
            "activations": {"checkpointing": self.activations[True], "plain": self.activations[False]},
            "epoch": {
                "operations": self.epoch_operations,
                "seconds": self.epoch_seconds,
                "device": self.device.title,
                "utilization": self.utilization,
            },
        }


def estimate_cost(
    experiment: Experiment,
    task: Task,
    model: nn.Module,
    rows: RowLengths,
    *,
    processes: Sequence[int],
    device: Device,
    utilization: float,
) -> CostEstimate:
    """Trace steps of mean and of largest size, and compute the estimate.

    Args:
        experiment: The run.
        task: Its task, built without weights.
        model: Its bare model with what is trained marked; it is used up.
        rows: Lengths of the training rows.
        processes: Numbers of processes to plan for.
        device: Kind of GPU.
        utilization: Share of its peak rate.

    Raises:
        RunError: the step cannot be run on shapes alone.
    """
    config, weights, summary = experiment.sections.trainer, weigh(model), summarize(rows, model, task)
    positions, layers = rows.positions(task, model), costliest_layers(task, model)
    batches = plan_batches(rows, experiment, task.feature, max(processes), positions)
    tracer = Tracer(task, model, bfloat16=config.mixed_precision != "off")
    tracer.encoded = experiment.sections.data.encoder_cache is not None
    traces = _trace(tracer, batches, layers, processes, checkpointing=config.activation_checkpointing)
    return CostEstimate(
        origin=rows.origin,
        rows=summary,
        num_rows=sum(batch.rows for batch in batches.padded),
        batches=len(batches.padded),
        accumulation=config.grad_accumulation,
        batch_size=len(batches.mean.inputs),
        largest_size=len(batches.largest.inputs),
        layers=layers,
        step=traces.step,
        plain=traces.plain,
        epoch_operations=batches.over_epoch(traces.step.total.total, traces.shares[1].total.total),
        memory=tuple(_memory(weights, traces.shares, processes, accumulates=config.grad_accumulation > 1)),
        activations=traces.activations,
        checkpointing=config.activation_checkpointing,
        device=device,
        utilization=utilization,
    )


class _Traces(NamedTuple):
    """Results of tracing.

    Attributes:
        step: The batch of mean size.
        plain: The same for cross-entropy only.
        shares: The largest batch, divided by so many processes.
        activations: Its peak for one process, by whether activation checkpointing is on.
    """

    step: Trace
    plain: Trace | None
    shares: dict[int, Trace]
    activations: dict[bool, int]


def _trace(
    tracer: Tracer, batches: Batches, layers: tuple[int, ...] | None, processes: Sequence[int], *, checkpointing: bool
) -> _Traces:
    activations = {}
    if checkpointing:
        activations[False] = tracer.trace(batches.largest, layers).peak_without_gradients
        apply_activation_checkpointing(tracer.model, 1)
    step = tracer.trace(batches.mean, layers)
    plain = None if layers is None else tracer.trace(batches.mean)
    shares = {number: tracer.trace(batches.largest.share(0, number), layers) for number in {1, *processes}}
    activations[checkpointing] = shares[1].peak_without_gradients
    if not checkpointing:
        apply_activation_checkpointing(tracer.model, 1)
        activations[True] = tracer.trace(batches.largest, layers).peak_without_gradients
    return _Traces(step, plain, shares, activations)


def _memory(
    weights: Weights, traces: Mapping[int, Trace], processes: Sequence[int], *, accumulates: bool
) -> Iterator[MemoryEstimate]:
    for number in dict.fromkeys(processes):
        for sharded in (False, True) if number > 1 else (False,):
            yield estimate_memory(weights, traces[number], processes=number, sharded=sharded, accumulates=accumulates)


def costliest_layers(task: Task, model: nn.Module) -> tuple[int, ...] | None:
    """The most expensive layers that the run may align."""
    if not isinstance(task, SpeechTranslationTask) or not task.alignment.terms:
        return None
    assert isinstance(model, LargeSpeechTextModel)
    return task.build_selection(model.llm.num_layers).costliest()
