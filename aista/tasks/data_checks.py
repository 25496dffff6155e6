"""Checks of the data section against files and the task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from aista import registry
from aista.data.manifest import read_manifest
from aista.errors import ConfigError, DataError, Fault
from aista.schema import Component
from aista.scoring.base import Metric
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment

__all__ = [
    "FREEZE_ENCODER",
    "check_dev_inputs",
    "check_dev_words",
    "check_durations",
    "check_encoder_cache",
    "check_positions",
    "check_tasks_of_rows",
    "missing_files",
]

FREEZE_ENCODER = "set encoder.tuning: frozen, or remove data.encoder_cache"


def missing_files(experiment: Experiment, *, with_audio: bool) -> list[Fault]:
    """Find named manifests and shards that do not exist."""
    data = experiment.sections.data
    named: list[tuple[str, Path | None]] = [("train", data.train), ("dev", data.dev), ("test", data.test)]
    for name, paths in (("speech", data.speech), ("text", data.text)):
        named += [(f"{name}[{index}]", path) for index, path in enumerate(paths)]
    faults = [
        Fault(f"data.{name}", f"no such file: {str(path)!r}", "prepare it with `aista data` or correct the path")
        for name, path in named
        if path is not None and not path.is_file()
    ]
    if data.stream is not None:
        faults += _shards(data.stream, with_audio=with_audio)
    elif data.train is None:
        faults.append(Fault("data.train", "is required", "name a manifest to train on, or shards in data.stream"))
    return faults


def _shards(spec: Component, *, with_audio: bool) -> list[Fault]:
    """Faults of a stream that show in the names and ends of its files."""
    try:
        registry.build("stream", spec, at="data.stream").shards(with_audio=with_audio)
    except ConfigError as error:
        return list(error.faults)
    except DataError as error:
        return [Fault("data.stream", str(error))]
    return []


def check_dev_words(dev: Path) -> list[Fault]:
    """Faults of a dev set for a layer selection that needs word times."""
    rows = read_manifest(dev).rows
    if (rows.is_filled("src_text") & rows.is_filled("word_times")).any():
        return []
    problem = f"compares words by their times, which no row of {dev} has"
    return [Fault("layer_selection", problem, "fill word_times (docs/word_times.md), or choose token_retrieval")]


def check_dev_inputs(dev: Path, metrics: Sequence[Metric]) -> list[Fault]:
    """Find inputs that the metrics of validation need and the dev rows lack, before training starts."""
    faults = []
    for metric in (metric for metric in metrics if metric.needs):
        if "audio" in metric.needs:
            problem = f"{metric.name} needs the audio of utterances, which validation does not give to metrics"
            faults.append(Fault("evaluation.metrics", problem, "leave it to `aista evaluate --metric`"))
        rows = read_manifest(dev).rows
        lacking = int((rows.is_filled("tgt_text") & ~rows.is_filled("src_text")).sum())
        if "source" in metric.needs and lacking:
            problem = (
                f"{metric.name} needs the transcript of each utterance, and {lacking} of {len(rows)} in {dev} lack it"
            )
            faults.append(Fault("evaluation.metrics", problem, "fill src_text, or choose other metrics"))
    return faults


def check_tasks_of_rows(experiment: Experiment, task: Task) -> list[Fault]:
    """Refuse ``data.tasks`` where the task trains on all rows alike."""
    if not experiment.sections.data.tasks or task.row_tasks:
        return []
    problem = f"the task {experiment.sections.task!r} trains on all rows alike"
    return [Fault("data.tasks", problem, "remove it, or set task: speech_translation")]


def check_durations(experiment: Experiment, task: Task) -> list[Fault]:
    """Refuse a ``data.max_seconds`` beyond the maximum of the feature."""
    data, longest = experiment.sections.data, math.inf if task.feature is None else task.feature.max_seconds
    if data.max_seconds <= longest:
        return []
    problem = f"must be at most {longest:g}, the maximum of the feature {data.feature.name!r}, got {data.max_seconds:g}"
    return [Fault("data.max_seconds", problem)]


def check_positions(experiment: Experiment, task: Task) -> list[Fault]:
    """Refuse a limit of positions where the task has no language model."""
    maximum = experiment.sections.data.max_batch_positions
    if not maximum or type(task).positions is not Task.positions:
        return []
    task_name = experiment.sections.task
    problem = f"counts positions of a language model, and the task {task_name!r} has none, got {maximum}"
    return [Fault("data.max_batch_positions", problem, "remove it, or limit data.max_batch_seconds")]


def check_encoder_cache(experiment: Experiment, task: Task) -> list[Fault]:
    """Refuse an encoder cache that nothing reads, or of a trained encoder; see ``aista.engine.encoder_cache``."""
    sections, config = experiment.sections, experiment.task_config
    if sections.data.encoder_cache is None:
        return []
    at = "data.encoder_cache"
    if not task.takes_states:
        return [Fault(at, f"the task {sections.task!r} reads no encoder states", "remove it")]
    tuning = config.encoder.tuning
    if tuning is None and not config.freeze_params:
        return [Fault(at, "needs a frozen encoder, but all of it is trained", FREEZE_ENCODER)]
    if tuning is not None and tuning.name != "frozen":
        return [Fault(at, f"needs a frozen encoder, got encoder.tuning {tuning.name!r}", FREEZE_ENCODER)]
    return []
