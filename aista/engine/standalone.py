"""A run's own copies of files that decoding needs beside weights: tokenizer, and configs of base models."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from aista.config import replace_nodes
from aista.engine.export.description import embed, parts, weight_paths
from aista.errors import AistaError, ConfigError
from aista.files import replacing_folder
from aista.run_folder.assets import Assets
from aista.run_folder.paths import RunPaths
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment, structure_experiment

__all__ = ["save_assets", "with_assets"]

log = logging.getLogger("aista.train")


def save_assets(run_dir: Path, experiment: Experiment, task: Task) -> None:
    """Copy the files of the experiment's tokenizer and base models, without weights, into RUN/assets.

    What cannot be copied is named in the log, and the run then needs its original.
    """
    nodes: dict[str, Any] = {}
    with replacing_folder(RunPaths(run_dir).assets_dir) as folder:
        try:
            nodes["tokenizer"] = {
                "name": experiment.sections.tokenizer.name,
                "config": dict(task.tokenizer.save(folder)),
            }
        except AistaError as error:
            log.warning("%s: %s; decoding will need the original", run_dir, error)
        for part, spec in parts(experiment.task_config).items():
            try:
                for option, path in weight_paths(part, spec).items():
                    nodes[f"{part}.config.{option}"] = embed(path, folder / part)
            except AistaError as error:
                log.warning("%s: %s; decoding will need the original", run_dir, error)
        Assets(Path.cwd(), nodes).save(folder)


def with_assets(experiment: Experiment, run_dir: Path) -> Experiment:
    """The experiment of a run with the run's own copies in place of their originals.

    Its model is to be built without pretrained weights: they are in the checkpoint.
    """
    run = RunPaths(run_dir)
    plain = replace_nodes(experiment.to_plain(), Assets.load(run).nodes)
    try:
        return structure_experiment(plain, source=experiment.source, start=run.assets_dir.absolute())
    except ConfigError as error:  # the config itself had none
        raise ConfigError(error.faults, source=str(run.assets_file)) from error
