"""From a split to the batches that a process reads of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aista.data.batching import LengthBatches, SequentialBatches
from aista.data.fault_log import FaultLog
from aista.data.loader import BatchLoader
from aista.data.mixing import Mixture
from aista.engine.inputs import Split
from aista.engine.mixing import MOST_NAMED, mix
from aista.errors import DataError
from aista.tasks.experiment import Experiment

__all__ = ["length_batches", "training_loader", "whole_pass"]


def training_loader(split: Split, experiment: Experiment, rank: int, world_size: int) -> BatchLoader:
    """Shuffled length-bucketed batches of a training split, this process' share of them."""
    mixture, dataset = mix(split, experiment), split.dataset
    batches = length_batches(
        dataset.lengths(), experiment, with_audio=dataset.feature is not None, world_size=world_size, mixture=mixture
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
    mixture: Mixture | None = None,
) -> LengthBatches:
    """The plan of a training split whose rows have these lengths: seconds, or tokens where there is no audio.

    Raises:
        DataError: the processes cannot each have a row within the limits of a batch.
    """
    data = experiment.sections.data
    try:
        return LengthBatches(
            lengths,
            batch_size=data.batch_size,
            max_batch_total=data.max_batch_seconds if with_audio else 0,
            seed=experiment.sections.seed,
            world_size=world_size,
            noise=data.length_noise,
            mixture=mixture,
        )
    except ValueError as error:
        raise DataError(str(error)) from error


def whole_pass(
    split: Split, batch_size: int, rank: int = 0, world_size: int = 1, *, num_workers: int = 0
) -> BatchLoader:
    """Every row once, short to long: for validation and evaluation."""
    batches = SequentialBatches(split.dataset.lengths(), batch_size=max(batch_size, world_size), world_size=world_size)
    return BatchLoader(split.dataset, batches, rank=rank, world_size=world_size, num_workers=num_workers, train=False)
