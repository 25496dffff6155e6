"""A cost estimate as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from aista.console import align_columns
from aista.engine.cost.estimate import CostEstimate
from aista.engine.cost.memory_estimate import MemoryEstimate
from aista.engine.cost.meter import REST
from aista.engine.cost.trace import LOSSES

__all__ = ["cost_lines"]

GIB = 2**30
_NAMES = {(REST, 1): "LM head and loss", LOSSES: "alignment losses", ("llm", 2): "llm, text branch"}


def cost_lines(cost: CostEstimate) -> list[str]:
    """The tables of rows, operations, memory and time."""
    return [*_row_lines(cost), "", *_step_lines(cost), "", *_memory_lines(cost), "", *_time_lines(cost)]


def _row_lines(cost: CostEstimate) -> Iterator[str]:
    yield f"rows: {cost.origin}"
    yield from align_columns(
        [
            ("", "mean", "95 %", "longest"),
            *(
                (name, *(f"{value:,.1f}" if name == "seconds" else f"{value:,.0f}" for value in summary))
                for name, summary in cost.rows.items()
            ),
        ]
    )
    batches = f", {cost.accumulation} batches a step" if cost.accumulation > 1 else ""
    yield f"{cost.num_rows:,} rows in {cost.batches:,} batches an epoch{batches}: {cost.steps:,.0f} steps"


def _step_lines(cost: CostEstimate) -> Iterator[str]:
    total = cost.step.total
    unit, name = (1e12, "TFLOP") if total.total >= 1e11 else (1e9, "GFLOP")
    yield f"operations of a batch of mean size ({cost.batch_size} rows, all processes together), {name}"
    places = sorted(cost.step.operations.items(), key=lambda item: (item[0] == LOSSES, item[0][0] == REST))
    rows: list[tuple[str, ...]] = [("", "forward", "backward", "recomputed", "all", "share")]
    for label, counts in [*((_name(place), counts) for place, counts in places), ("all", total)]:
        numbers = [f"{count / unit:,.3f}" for count in (*counts, counts.total)]
        rows.append((label, *numbers, f"{counts.total / total.total:.1%}"))
    yield from align_columns(rows)
    if cost.added is not None:
        place = (
            f"at layers {', '.join(map(str, cost.layers or ()))}"
            if LOSSES in cost.step.operations
            else "of predictions"
        )
        yield f"alignment {place} adds {cost.added:.1%} to a step on cross-entropy alone"


def _memory_lines(cost: CostEstimate) -> Iterator[str]:
    yield f"memory of one process at the largest batch ({cost.largest_size} rows, all processes together), GiB"
    rows: list[tuple[str, ...]] = [("", "weights", "optimizer", "gradients", "gathered", "activations", "all")]
    for memory in cost.memory:
        parts = (memory.weights, memory.optimizer, memory.gradients, memory.gathered, memory.activations, memory.total)
        rows.append((_sharing(memory), *(f"{part / GIB:,.2f}" for part in parts)))
    yield from align_columns(rows)
    too_large = [_sharing(memory) for memory in cost.memory if memory.total > cost.device.memory]
    if too_large:
        yield f"more than an {cost.device.title} has ({cost.device.memory / GIB:.1f}): {', '.join(too_large)}"
    wanted, other = (cost.activations[switch] / GIB for switch in (cost.checkpointing, not cost.checkpointing))
    words = ("with", "without") if cost.checkpointing else ("without", "with")
    yield f"activations of one process {words[0]} activation checkpointing {wanted:,.2f}, {words[1]} {other:,.2f}"


def _time_lines(cost: CostEstimate) -> Iterator[str]:
    device = cost.device
    yield (
        f"an epoch takes {cost.epoch_operations / 1e15:,.2f} PFLOP: {_duration(cost.epoch_seconds)} on one "
        f"{device.title} at {cost.utilization:.0%} of its peak ({device.bfloat16 / 1e12:g} TFLOP/s in bfloat16, "
        f"{device.float32 / 1e12:g} in fp32; {device.source})"
    )
    for processes in sorted({memory.processes for memory in cost.memory} - {1}):
        yield f"  on {processes} at the same utilization: {_duration(cost.epoch_seconds / processes)}"


def _name(place: tuple[str, int]) -> str:
    name, number = place
    return _NAMES.get(place, name if number == 1 else f"{name}, pass {number}")


def _sharing(memory: MemoryEstimate) -> str:
    if memory.processes == 1:
        return "1 process"
    return f"{'FSDP2' if memory.sharded else 'DDP'}, {memory.processes} processes"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
