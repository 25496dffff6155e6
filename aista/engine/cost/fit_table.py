"""The largest batch that fits, as a table for the terminal and a line for the config."""

from __future__ import annotations

from collections.abc import Iterator

from aista.console import align_columns
from aista.engine.cost.fit import GIB, MARGIN, Fit
from aista.engine.cost.memory_estimate import MemoryEstimate

__all__ = ["fit_lines"]

_UNKNOWN = (
    f"The {MARGIN:.0%} are for what no trace shows: fragmentation, kernels' workspaces, the CUDA context (0.5 GiB), "
    "NCCL's buffers, the batch itself and the next one, and batches that mixing lengths makes some percent heavier. "
    "Decoding in validation is not traced (evaluation.batch_size)."
)


def fit_lines(fit: Fit) -> list[str]:
    """The tried values, the line for the config, and the unknowns."""
    return [*_table(fit), *_proposal(fit), _UNKNOWN]


def _table(fit: Fit) -> Iterator[str]:
    memory = fit.tried[0].memory
    sharing = "one process" if memory.processes == 1 else f"each of {memory.processes} processes"
    yield f"rows: {fit.origin}"
    yield (
        f"peak of {sharing} at the heaviest batch (all processes together) that a value allows; "
        f"{fit.budget / (1 - MARGIN) / GIB:,.2f} GiB less {MARGIN:.0%} are {fit.budget / GIB:,.2f}"
    )
    rows: list[tuple[str, ...]] = [(f"data.{fit.option}", "rows", "longest", "peak GiB", "most of it", "")]
    for one in fit.tried:
        longest = f"{one.longest:,.1f} s" if fit.unit == "s" else f"{one.longest:,.0f} {fit.unit}"
        verdict = "fits" if one.memory.total <= fit.budget else "does not fit"
        peak = f"{one.memory.total / GIB:,.2f}"
        rows.append((f"{one.value:,}", f"{one.rows:,}", longest, peak, _largest_part(one.memory), verdict))
    yield from align_columns(rows)


def _proposal(fit: Fit) -> Iterator[str]:
    best = fit.best
    if best is None:
        least = f"{fit.tried[0].value:,}"
        yield f"data.{fit.option} {least}, the least that these rows allow, does not fit. What would help:"
        yield from _help(fit)
        return
    if best.value == fit.ceiling:
        other = "all rows are in one batch" if fit.option == "batch_size" else "data.batch_size is the limit"
        yield f"from {best.value:,} on batches grow no more: {other}"
    yield f"put into the config (now {fit.now:g}):"
    yield f"  data: {{{fit.option}: {best.value}}}"


def _help(fit: Fit) -> Iterator[str]:
    memory = fit.tried[0].memory
    if fit.checkpointed is not None:
        fits = "which fits" if fit.checkpointed <= fit.budget else "which does not fit either"
        yield f"  trainer.activation_checkpointing: true takes {fit.checkpointed / GIB:,.2f} GiB, {fits}"
    if memory.optimizer + memory.gradients > memory.total / 4:
        yield "  train less: llm.tuning {name: lora} (the gradients and the optimizer are a quarter or more)"
    if not memory.sharded:
        yield "  share the model: trainer.data_parallelism: fsdp on several GPUs, and --processes to plan for them"
    yield f"  shorter rows: a smaller data.max_seconds; the longest is {fit.tried[0].longest:,.1f} {fit.unit}"


def _largest_part(memory: MemoryEstimate) -> str:
    names = ("weights", "optimizer", "gradients", "gathered", "activations")
    name = max(names, key=lambda name: int(getattr(memory, name)))
    return f"{name} {getattr(memory, name) / memory.total:.0%}"
