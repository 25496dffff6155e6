"""The config of an exported folder, from which the model can be rebuilt, with every path inside the folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from aista.engine.export.plugin_files import PLUGINS, copy_plugins
from aista.engine.export.record import RECORD
from aista.errors import RunError
from aista.hub import local_folder, settings_files
from aista.model_folder import check_folder
from aista.modules.llms.base import GenerationConfig
from aista.plain import to_plain
from aista.run_folder.paths import RunPaths
from aista.schema import Component
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment, structure_experiment
from aista.tasks.parts import TunedPart

__all__ = [
    "MODEL_TYPE",
    "base_paths",
    "describe",
    "embed",
    "generation_to_json",
    "parts",
    "save_tokenizer",
    "weight_paths",
]

MODEL_TYPE = "aista"
_TRAINING = ("alignment", "layer_selection", "freeze_params", "trainer")
_LEFT_BEHIND = ("plugins", "pretraining", "initialize")
_DATA = (
    *("feature", "source_language", "target_language", "tasks", "cot_marker"),
    *("max_seconds", "min_seconds", "on_bad_rows"),
)
_CONFIG_SUFFIXES = (".json", ".txt", ".model", ".jinja")


def describe(experiment: Experiment, task: Task, folder: Path, *, whole: bool) -> dict[str, Any]:
    """The config as config.json holds it; copies the files that it names into ``folder``.

    Args:
        experiment: The run's.
        task: Its task.
        folder: Folder of the export.
        whole: Whether the base models' config files go along; otherwise their folders' names stand for them.

    Returns:
        ``experiment`` to load the model with, ``training``: how it was trained, for the reader, and ``plugins``, the
        files that components come from, with their SHA-256.

    Raises:
        RunError: a component needs a file that cannot be embedded.
    """
    plain = {key: value for key, value in experiment.to_plain().items() if key not in _LEFT_BEHIND}
    training = {key: plain.pop(key) for key in _TRAINING if key in plain}
    plain["data"] = {key: plain["data"][key] for key in _DATA}
    plain["evaluation"] = {key: value for key, value in plain["evaluation"].items() if key != "generation"}
    plain["tokenizer"] = {"name": plain["tokenizer"]["name"], "config": save_tokenizer(task, folder)}
    for part, spec in parts(experiment.task_config).items():
        for option, path in weight_paths(part, spec).items():
            plain[part]["config"][option] = embed(path, folder / part) if whole else path.name
    plugins = copy_plugins(structure_experiment(plain, source="the exported config"), folder)
    return {"experiment": plain, "training": training, **({PLUGINS: plugins} if plugins else {})}


def save_tokenizer(task: Task, folder: Path) -> dict[str, Any]:
    """Write the tokenizer's files; returns the options that build it from there.

    Records that lie beside them, of the run or of an export that it was trained on, do not go along.
    """
    options = dict(task.tokenizer.save(folder))
    for name in (RunPaths(folder).assets_file.name, RECORD):
        (folder / name).unlink(missing_ok=True)
    return options


def parts(config: Any) -> dict[str, TunedPart]:
    """The parts of a model in a task's options."""
    return {name: spec for name, spec in vars(config).items() if isinstance(spec, TunedPart)}


def base_paths(config: Any) -> dict[str, tuple[str, Path]]:
    """Parts with pretrained weights: the option that names them, and their place."""
    by_part = {part: weight_paths(part, spec) for part, spec in parts(config).items()}
    return {part: next(iter(paths.items())) for part, paths in by_part.items() if paths}


def generation_to_json(generation: GenerationConfig, task: Task) -> dict[str, Any]:
    """generation_config.json with transformers' names."""
    eos_id = task.tokenizer.eos_id if task.prompts is None else task.prompts.first.eos_id
    return {
        "num_beams": generation.beam_size,
        "max_new_tokens": generation.max_new_tokens,
        "length_penalty": generation.length_penalty,
        "no_repeat_ngram_size": generation.no_repeat_ngram,
        "do_sample": False,
        "bos_token_id": task.tokenizer.bos_id,
        "eos_token_id": eos_id,
        "pad_token_id": task.tokenizer.pad_id,
        **({} if generation.mbr is None else {"mbr": to_plain(generation.mbr)}),
    }


def weight_paths(part: str, spec: Component) -> dict[str, Path]:
    """Options of a part that name files of weights, which its ``skeleton`` must not need.

    Raises:
        RunError: it has no such method, or there is more than one option.
    """
    options = vars(spec.config) if spec.config is not None else {}
    paths = {name: value for name, value in options.items() if isinstance(value, Path)}
    if paths and not hasattr(spec.config, "skeleton"):
        raise RunError(
            f"{part}.config.{next(iter(paths))}: {spec.name} cannot be built without its weights, so it cannot be "
            "exported; give its options a method skeleton (docs/export.md)"
        )
    if len(paths) > 1:
        raise RunError(f"{part}.config: {spec.name} reads {', '.join(paths)}, but export knows one base for each part")
    return paths


def embed(path: Path, folder: Path) -> str | None:
    """Copy a base folder's config files, no weights and no code; a file of weights is left out."""
    if path.is_file():
        return None
    try:
        check_folder(local_folder(path, "config"))
    except ValueError as error:
        raise RunError(f"{error}; an export would hold a copy of it") from error
    folder.mkdir()
    for file in settings_files(path):
        if file.is_file() and file.suffix in _CONFIG_SUFFIXES and not file.name.endswith(".index.json"):
            shutil.copyfile(file, folder / file.name)
    return folder.name
