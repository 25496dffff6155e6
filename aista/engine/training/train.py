"""Trains an experiment in a run folder: checks, pretraining stages, then the task; resumes automatically."""

from __future__ import annotations

import logging
import math
import os
import time
from contextlib import nullcontext
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aista.engine.checkpoints import checkpoint_steps, load_part_weights
from aista.engine.claim import (
    claim,
    holds,
    is_main_process,
    recorded_commits,
    released_if_unused,
    training_lock,
)
from aista.engine.compat import run_recipe
from aista.engine.encoder_cache.cached_encoder import require_frozen
from aista.engine.precision import choose, recorded, slowness
from aista.engine.trackers import Trackers
from aista.engine.training.optimizer import check_parameter_groups
from aista.engine.training.plugin_errors import plugin_errors
from aista.engine.training.recipe import TaskRecipe
from aista.engine.training.recipe_config import recipe_config
from aista.engine.training.run_data import RunData
from aista.engine.training.validation import past_scores, save_missing_scores
from aista.environment import peak_mib
from aista.errors import AistaError, RunError
from aista.registry import nearest
from aista.run_folder.checksums import require_complete
from aista.run_folder.failures import failure_noted
from aista.run_folder.layer_choices import read_choices
from aista.run_folder.leftovers import remove_training_leftovers
from aista.run_folder.metric_records import read_records
from aista.run_folder.parsing import write_object
from aista.run_folder.paths import RunPaths
from aista.tasks.base import Task
from aista.tasks.decoding import Decoder
from aista.tasks.experiment import Experiment, Stage
from aista.tasks.hub_models import fetch_models, pin_models
from aista.tasks.preflight import build_metrics, preflight

__all__ = ["find_stage", "train"]

log = logging.getLogger("aista.train")


def train(experiment: Experiment, run_dir: Path, *, stage: str = "", verify: bool = True) -> None:
    """Train, or resume a stopped run; returns at once if the run is complete.

    Args:
        experiment: The experiment to train.
        run_dir: Folder of the run.
        stage: Train this pretraining stage alone.
        verify: Compare checkpoints with their checksums before resuming from them or starting from their weights.

    Raises:
        ConfigError: the config has faults.
        DataError: the manifests have faults.
        PluginError: a plug-in is at fault; says where in its file.
        RunError: training failed, or another process trains in the folder.
    """
    recorded = recorded_commits(run_dir)
    experiment = pin_models(experiment, recorded, closed=recorded is not None)
    task = preflight(experiment)
    if stage:
        stage_experiment = find_stage(experiment, stage, run_dir)
        with training_lock(run_dir):
            claim(run_dir, experiment, task)
        train(stage_experiment, RunPaths(run_dir).stage(stage).path, verify=verify)
        return
    is_validated = experiment.sections.data.dev is not None
    if holds(run_dir, experiment) and _is_trained(RunPaths(run_dir), is_validated=is_validated):
        log.info("%s: already trained; nothing to do", run_dir)
        return
    with training_lock(run_dir):
        _train(experiment, task, run_dir, verify=verify)


def _train(experiment: Experiment, task: Task, run_dir: Path, *, verify: bool) -> None:
    fetch_models(experiment)
    data = RunData(experiment, task, verify=verify)
    claimed = claim(run_dir, experiment, task)
    if is_main_process():
        remove_training_leftovers(RunPaths(run_dir))
    noted = failure_noted(RunPaths(run_dir)) if is_main_process() else nullcontext()
    with noted, released_if_unused(run_dir, claimed=claimed), plugin_errors(experiment):
        experiment = _in_its_precision(experiment, RunPaths(run_dir))
        initial = _initial_weights(experiment, task, run_dir, verify=verify)
        _run(experiment, task, run_dir, data, initial, verify=verify)


def _in_its_precision(experiment: Experiment, run: RunPaths) -> Experiment:
    """The experiment with ``mixed_precision: auto`` replaced by the choice made when the run began."""
    sections = experiment.sections
    if sections.trainer.mixed_precision != "auto":
        if is_main_process() and (warning := slowness(sections.trainer.mixed_precision)):
            log.warning("%s", warning)
        return experiment
    found = recorded(run)
    if is_main_process():
        here = choose()
        is_other = here.chosen != found.chosen
        more = f"; it is kept, though this machine would choose {here.chosen} ({here.reason})" if is_other else ""
        level = logging.WARNING if is_other else logging.INFO
        log.log(level, "mixed_precision auto: %s (%s)%s", found.chosen, found.reason, more)
    trainer = replace(sections.trainer, mixed_precision=found.chosen)
    return replace(experiment, sections=replace(sections, trainer=trainer))


def find_stage(experiment: Experiment, name: str, run_dir: Path | None = None) -> Experiment:
    """The experiment of one pretraining stage.

    Args:
        experiment: The whole.
        name: The stage's name.
        run_dir: The run whose earlier stages it starts from; None leaves them out.

    Raises:
        AistaError: there is no such stage, or one before it is not trained yet.
    """
    stages = {stage.name: stage for stage in experiment.sections.pretraining}
    if name not in stages:
        known = ", ".join(stages) or "none"
        raise AistaError(f"--stage: unknown stage {name!r}{nearest(name, stages)}; {experiment.source} has: {known}")
    return experiment.stage(
        stages[name], {} if run_dir is None else _trained_before(experiment, name, RunPaths(run_dir))
    )


def _trained_before(experiment: Experiment, name: str, run: RunPaths) -> dict[str, Path]:
    """Part -> run folder that a stage starts from."""
    given = experiment.sections.initialize.given()
    trained = dict(given)
    for stage in takewhile(lambda stage: stage.name != name, experiment.sections.pretraining):
        if stage.part not in given:
            folder = run.stage(stage.name)
            if not folder.is_complete:
                raise AistaError(f"--stage {name}: starts from stage {stage.name!r}, not yet trained in {folder.path}")
            trained[stage.part] = folder.path
    return trained


def _is_trained(run: RunPaths, *, is_validated: bool) -> bool:
    """Whether training has finished, including the validation of its last checkpoint."""
    steps = run.checkpoint_steps()[-1:] if is_validated else []
    return run.is_complete and all(step in dict(past_scores(run.metrics_file("valid"), step)) for step in steps)


def _initial_weights(
    experiment: Experiment, task: Task, run_dir: Path, *, verify: bool
) -> dict[str, dict[str, Tensor]]:
    """Train the pretraining stages that ``initialize`` does not replace, and collect the parts to start from."""
    folders = experiment.sections.initialize.given()
    stages = [stage for stage in experiment.sections.pretraining if stage.part not in folders]
    if not all(RunPaths(run_dir).stage(stage.name).is_complete for stage in stages):
        _check_model(experiment, task)
    for stage in stages:
        run = RunPaths(run_dir).stage(stage.name)
        if not run.is_complete:
            _check_one_process(run_dir, stage)
        log.info("pretraining stage %s (%s) in %s", stage.name, stage.task, run.path)
        train(experiment.stage(stage, folders), run.path, verify=verify)
        folders[stage.part] = run.path
    if checkpoints := checkpoint_steps(run_dir):
        if verify:
            require_complete(checkpoints[-1].path)
            _require_records(RunPaths(run_dir), checkpoints[-1].step, experiment)
        return {}  # a resumed run takes its weights from its own checkpoint
    return {part: load_part_weights(folder, part, verify=verify) for part, folder in folders.items()}


def _require_records(run: RunPaths, last: int, experiment: Experiment) -> None:
    """Raise RunError where the metrics lack a step before the last checkpoint: schedules and stopping read them."""
    intervals = {"train": experiment.sections.trainer.log_every}
    if experiment.sections.data.dev is not None:
        intervals["valid"] = experiment.sections.trainer.validate_every
    for split, every in intervals.items():
        file = run.metrics_file(split)
        recorded = {record["step"] for record in read_records(file)} if file.is_file() else set()
        missing = set(range(every, last, every) if every else ()) - recorded
        if missing:
            raise RunError(
                f"{file}: lacks step {min(missing)}, though there is a checkpoint of step {last}; restore the file, or "
                f"remove the checkpoints after step {min(missing)} to train them again"
            )


def _check_model(experiment: Experiment, task: Task) -> None:
    """Build the main model and discard it, so that its faults show before hours of pretraining."""
    model = task.build_model()
    task.select_trainable(model)
    check_parameter_groups(experiment.sections.trainer, model)
    if experiment.sections.data.encoder_cache is not None:
        require_frozen(model)


def _check_one_process(run_dir: Path, stage: Stage) -> None:
    """fairseq2 cannot open its process groups twice in a process (seen with gloo: the second one hangs)."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise AistaError(
            f"{run_dir}: with several processes each pretraining stage needs a separate call; first add "
            f"`--stage {stage.name}` to this command (or leave out torchrun for it), then repeat the command"
        )


def _run(
    experiment: Experiment,
    task: Task,
    run_dir: Path,
    data: RunData,
    initial: dict[str, dict[str, Tensor]],
    *,
    verify: bool,
) -> None:
    sections, run = experiment.sections, RunPaths(run_dir)
    trackers = Trackers(run, experiment)
    recipe = TaskRecipe(
        task=task,
        run_dir=run_dir,
        trainer=sections.trainer,
        evaluation=sections.evaluation,
        decoder=Decoder(experiment, task),
        metrics=build_metrics(experiment),
        initial=initial,
        data=data,
        trackers=trackers,
        verify=verify,
    )
    config = recipe_config(sections.trainer, seed=sections.seed, validate="dev" in data.splits)
    if is_main_process():
        save_missing_scores(run)
    started = time.monotonic()
    with trackers.following():
        run_recipe(recipe, config, run_dir)
    if is_main_process():
        save_missing_scores(run)
        read = data.rows_read()
        timing = _timing(run, time.monotonic() - started)
        write_object(run.timing_file, timing | ({"rows_read": read} if read else {}))


def _timing(run: RunPaths, seconds: float) -> dict[str, Any]:
    """Seconds of training over all resumed parts, as the trainer itself recorded them, and this process' memory."""
    files = {split: run.metrics_file(split) for split in ("train", "valid")}
    records = {split: read_records(file) for split, file in files.items() if file.is_file()}
    last = records["train"][-1]
    return {
        "train_seconds": round(last.get("total_time", seconds), 2),
        "steps": int(last["step"]),
        "records": {split: len(steps) for split, steps in records.items()},
        "selections": len(read_choices(run.selection_file)) if run.selection_file.is_file() else 0,
        **_peak_memory(),
    }


def _peak_memory() -> dict[str, float]:
    """Peak of this process in MiB: of the GPU's memory where it trains there, and of its own where Linux tells."""
    peaks = {"peak_memory_mib": peak_mib()}
    if torch.cuda.is_available():
        peaks["peak_gpu_memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return {name: round(value, 1) for name, value in peaks.items() if math.isfinite(value)}
