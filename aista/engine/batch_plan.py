"""Checks rows against the limits of a model and of a batch, and plans the training batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from aista.data.batching import BatchLimit, LengthBatches
from aista.data.data_config import DataConfig
from aista.data.fault_log import FaultLog
from aista.data.loader import BatchLoader
from aista.data.manifest_rows import Row
from aista.data.mixture import Mixture
from aista.data.row_checks import Limit
from aista.engine.inputs import Split
from aista.engine.mixing import MOST_NAMED, mix
from aista.errors import DataError
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment
from aista.tasks.limits import text_lengths

__all__ = ["batch_limits", "batch_positions", "length_batches", "narrow", "training_loader"]

Sizes = Sequence[float] | NDArray[np.float64] | NDArray[np.int64]


def narrow(splits: dict[str, Split], task: Task, model: nn.Module, experiment: Experiment) -> None:
    """Leave out rows of ``splits`` that exceed the limits of the built model or of a batch; dev is also decoded.

    Raises:
        DataError: there are such rows and they are an error.
    """
    generated = {"train": 0, "dev": experiment.sections.evaluation.generation.max_new_tokens}
    for name, split in splits.items():
        limits = task.limits(model, max_new_tokens=generated[name])
        splits[name] = split.within(limits)
    limit = batch_positions(experiment, task, model)
    if "train" in splits and limit is not None:
        splits["train"] = splits["train"].batched_by(limit)


def training_loader(split: Split, experiment: Experiment, rank: int, world_size: int) -> BatchLoader:
    """Shuffled length-bucketed batches of a training split, for this process."""
    mixture, dataset = mix(split, experiment), split.dataset
    batches = length_batches(
        dataset.lengths(),
        experiment,
        with_audio=dataset.feature is not None,
        world_size=world_size,
        positions=split.positions,
        mixture=mixture,
    )
    data, faults = experiment.sections.data, None
    if split.checks is not None:
        manifests = [(inspection.manifest, len(inspection.kept)) for inspection in split.inspections]
        faults = FaultLog(manifests, data.on_bad_rows, data.max_bad_rows)
    return BatchLoader(
        dataset.with_parts(mixture) if mixture is not None and len(mixture.names) <= MOST_NAMED else dataset,
        batches,
        rank=rank,
        world_size=world_size,
        num_workers=data.num_workers,
        train=True,
        faults=faults,
    )


def length_batches(
    lengths: Sequence[float] | NDArray[np.float64],
    experiment: Experiment,
    *,
    with_audio: bool,
    world_size: int,
    positions: Sequence[int] | NDArray[np.int64] | None = None,
    mixture: Mixture | None = None,
) -> LengthBatches:
    """The plan of a training split.

    Args:
        lengths: Length of each row, in seconds, or in tokens where there is no audio.
        experiment: Its data section limits the batches.
        with_audio: Whether the rows have audio.
        world_size: Processes that share a batch.
        positions: Positions of the LLM that each row takes; needed for ``data.max_batch_positions``.
        mixture: Choice of rows per epoch; None for all of them.

    Raises:
        DataError: the processes cannot each have a row within the limits of a batch.
    """
    data = experiment.sections.data
    try:
        return LengthBatches(
            lengths,
            batch_size=data.batch_size,
            limits=tuple(batch_limits(data, lengths if with_audio else None, positions)),
            seed=experiment.sections.seed,
            world_size=world_size,
            noise=data.length_noise,
            mixture=mixture,
        )
    except ValueError as error:
        raise DataError(str(error)) from error


def batch_positions(experiment: Experiment, task: Task, model: nn.Module) -> Limit | None:
    """The limit that ``data.max_batch_positions`` sets for a single row; None without it."""
    maximum = experiment.sections.data.max_batch_positions
    if not maximum:
        return None

    def measure(rows: Sequence[Row], seconds: Sequence[float]) -> Sequence[int]:
        found = task.positions(model, seconds, *text_lengths(rows, task.tokenizer))
        assert found is not None  # preflight has refused tasks without a language model
        return found.tolist()

    remedy = "raise data.max_batch_positions, shorten the speech with an adapter of a larger stride, or split the row"
    return Limit("LLM positions in a batch", maximum, measure, remedy)


def batch_limits(data: DataConfig, seconds: Sizes | None, positions: Sizes | None) -> Iterator[BatchLimit]:
    """The limits on a batch that ``data`` sets, for rows of these sizes."""
    if data.max_batch_seconds and seconds is not None:
        remedy = "raise data.max_batch_seconds or lower data.max_seconds"
        yield BatchLimit("data.max_batch_seconds", seconds, data.max_batch_seconds, remedy)
    if data.max_batch_positions and positions is not None:
        remedy = "raise data.max_batch_positions"
        yield BatchLimit("data.max_batch_positions", positions, data.max_batch_positions, remedy)
