"""A trained run or its export, opened: task and model with a checkpoint's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from aista.data.row_tasks import is_text_row
from aista.engine.checkpoints import Checkpoint, find_checkpoint, load_weights
from aista.engine.claim import open_experiment
from aista.engine.export.load import build, exported_checkpoint, is_exported, is_trainable, open_exported
from aista.engine.inputs import Split, load_split
from aista.engine.standalone import with_assets
from aista.errors import AistaError, RunError, shown
from aista.registry import nearest
from aista.run_folder.paths import RunPaths
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment
from aista.tasks.preflight import build_task

__all__ = ["TrainedRun", "find_device", "open_run"]


@dataclass(frozen=True)
class TrainedRun:
    """A run's experiment, task and model (on ``device``, in eval mode) at one checkpoint."""

    path: Path
    experiment: Experiment
    task: Task
    model: nn.Module
    checkpoint: Checkpoint
    device: str

    def spoken_task(self) -> str:
        """The first of ``data.tasks`` whose rows have speech; empty where the run has a single task.

        Raises:
            RunError: no task has.
        """
        tasks = self.experiment.sections.data.tasks
        spoken = [task for task in tasks if not is_text_row(task)]
        if tasks and not spoken:
            raise RunError(f"{self.path}: a probe needs speech, but data.tasks are {', '.join(tasks)}; probe another")
        return next(iter(spoken), "")

    def load_split(self, name: str, *, max_new_tokens: int = 0, scored: bool = False, row_task: str = "") -> Split:
        """The rows of a split (``dev``, ``test``, or the path of a manifest) within the model's limits.

        Args:
            name: The split.
            max_new_tokens: Tokens that decoding may add to each row.
            scored: Whether translations are scored, so that each row must have one.
            row_task: Task of the rows, among ``data.tasks``; empty: the first.

        Raises:
            DataError: rows exceed the limits and this is an error, or none is left.
        """
        split = load_split(self.experiment, self.task, name, scored=scored, row_task=row_task)
        return split.within(self.task.limits(self.model, max_new_tokens=max_new_tokens))


def open_run(
    run_dir: Path,
    which: str = "best",
    *,
    device: str = "",
    base: Mapping[str, Path] | None = None,
    verify: bool = True,
) -> TrainedRun:
    """Rebuild a model from its own config and load a checkpoint.

    Args:
        run_dir: Run folder, or a folder that ``aista export`` wrote.
        which: ``best``, ``last`` or a step number.
        device: Device of the model; empty means the GPU if there is one.
        base: Base weights by part, for an export of the trainable weights alone.
        verify: Compare the weights with their checksums first.

    Raises:
        RunError: no such run or checkpoint, or weights that do not fit the config.
        AistaError: no such device.
    """
    device = find_device(device)
    if is_exported(run_dir):
        return _open_exported(run_dir, which, device, base, verify=verify)
    if base:
        raise RunError(f"{run_dir}: --base is for folders that `aista export --trainable-only` wrote; leave it out")
    experiment = open_experiment(run_dir)
    checkpoint = find_checkpoint(run_dir, which)
    experiment = with_assets(experiment, run_dir)
    task = build_task(experiment, pretrained="skip")
    model = task.build_model()
    try:
        model.load_state_dict(load_weights(checkpoint, verify=verify))
    except RuntimeError as error:
        raise RunError(
            f"{checkpoint.path}: its weights do not fit the model that {RunPaths(run_dir).config_file} describes "
            f"({str(error).splitlines()[-1].strip()}); was the config edited after training?"
        ) from error
    return TrainedRun(run_dir, experiment, task, model.to(device).eval(), checkpoint, device)


def find_device(asked: str) -> str:
    """Resolve a device name: ``cpu``, ``cuda`` or ``cuda:N``; empty means the GPU if there is one.

    Raises:
        AistaError: this machine has no such device.
    """
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    known = ["cuda", *gpus, "cpu"] if gpus else ["cpu"]
    if asked and asked not in known:
        raise AistaError(
            f"--device: unknown {shown(asked)}{nearest(asked, known)}; this machine has {', '.join(known)}"
        )
    return asked or known[0]


def _open_exported(
    folder: Path, which: str, device: str, base: Mapping[str, Path] | None, *, verify: bool
) -> TrainedRun:
    experiment, checkpoint = open_exported(folder, base, verify=verify), exported_checkpoint(folder, which)
    task = build_task(experiment, pretrained="load" if is_trainable(folder) else "skip")
    model = build(folder, task)
    return TrainedRun(folder, experiment, task, model.to(device).eval(), checkpoint, device)
