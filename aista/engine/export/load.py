"""Opens an exported folder: reads only JSON and safetensors inside it, and runs no code but named plug-ins."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from aista import registry
from aista.engine.checkpoints import Checkpoint
from aista.engine.export.adapters import PEFT_FILE, from_peft
from aista.engine.export.description import MODEL_TYPE, base_paths, parts
from aista.engine.export.plugin_files import PLUGINS, require_plugins
from aista.engine.export.record import RECORD, Record, check_files, read_object
from aista.engine.export.weights import fingerprint, load_into, weight_files
from aista.errors import ConfigError, RunError
from aista.files import hash_file
from aista.hub import HubName, local_folder
from aista.model_folder import inside
from aista.modules.folder_weights import bounded_by
from aista.modules.llms.base import GenerationConfig
from aista.run_folder.paths import RunPaths
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment, map_paths, structure_experiment

__all__ = [
    "CONFIG",
    "GENERATION",
    "TRAINABLE",
    "build",
    "exported_checkpoint",
    "is_exported",
    "is_trainable",
    "load_plugins_for",
    "open_exported",
]

CONFIG = "config.json"
GENERATION = "generation_config.json"
TRAINABLE = "aista_trainable"


def is_exported(folder: Path) -> bool:
    """Whether a folder was written by ``aista export``."""
    if RunPaths(folder).is_run or not (folder / CONFIG).is_file():
        return False
    return (folder / RECORD).is_file() or read_object(folder / CONFIG).get("model_type") == MODEL_TYPE


def open_exported(folder: Path, base: Mapping[str, Path] | None = None, *, verify: bool = True) -> Experiment:
    """The experiment of an exported folder, every path made absolute.

    Args:
        folder: Exported folder.
        base: Part -> folder or file of its base weights, for an export of the trainable weights alone.
        verify: Compare every file that is read with its checksum first.

    Raises:
        RunError: the folder is damaged, or holds something that could run code, a base is missing or wrong, or a
            plug-in that the model needs was not loaded (``load_plugins_for``).
        ConfigError: config.json holds impossible options.
    """
    record = Record.read(folder)
    if record.kind == "transformers":
        raise RunError(
            f"{folder}: was exported for transformers; to open it with aista export the run without --transformers, or "
            "name the folder as the path of the parts qwen2_audio, to train it further"
        )
    check_files(folder, record, verify=verify)
    config = read_object(folder / CONFIG)
    data = config.get("experiment")
    if not isinstance(data, dict) or data.get("plugins"):
        reason = "names plug-ins, which are code" if isinstance(data, dict) else "has no experiment"
        raise RunError(f"{folder / CONFIG}: {reason}; export the run again")
    require_plugins(folder, config.get(PLUGINS, {}))
    evaluation = data.get("evaluation", {})
    if isinstance(evaluation, dict):
        data = {**data, "evaluation": {**evaluation, "generation": _generation(folder / GENERATION)}}
    experiment = structure_experiment(data, source=str(folder / CONFIG))

    def place(path: Path) -> Path:
        try:
            inside(folder, path)
        except ValueError as error:
            raise RunError(f"{folder / CONFIG}: {error}") from error
        return folder / path

    task_config = map_paths(experiment.task_config, place)
    experiment = dataclasses.replace(
        experiment, sections=map_paths(experiment.sections, place), task_config=task_config
    )
    if config.get("kind") != "trainable":
        if base:
            raise RunError(f"{folder}: holds all of its weights; leave --base out")
        return experiment
    return _with_bases(experiment, folder, config.get("base"), base or {})


def load_plugins_for(folder: Path, files: Iterable[str | Path], *, verify: bool = True) -> None:
    """Load plug-in files for a run or an exported folder; the folder's own files are first checked by SHA-256.

    Args:
        folder: The run, or an exported folder.
        files: The plug-in files that the user names.
        verify: As in ``check_files``; a file in the exported folder is compared in any case.

    Raises:
        RunError: a file in the exported folder was changed or added after the export.
        PluginError: one cannot be loaded.
    """
    files = list(files)
    if files and is_exported(folder):
        record, inner = Record.read(folder), folder.resolve()
        check_files(folder, record, verify=verify)
        for file in map(Path, files):
            path = file.resolve()
            name = path.relative_to(inner).as_posix() if path.is_relative_to(inner) else ""
            if name and path.is_file() and record.files.get(name) != hash_file(path):
                raise RunError(f"{file}: was changed or added after the export, so it is not run; export the run again")
    registry.load_plugins(files)


def build(folder: Path, task: Task) -> nn.Module:
    """The model with the folder's weights; ``task`` was built from ``open_exported``.

    Raises:
        RunError: a file of weights is missing, damaged, or does not fit.
    """
    files = [folder / name for name in Record.read(folder).files if name.endswith(".safetensors")]
    bases = [weight_files(path) for _, path in base_paths(task.config).values()] if is_trainable(folder) else []
    known = [file for base in (files, *bases) for file in base] if all(bases) else []  # a .pt does not say its sizes
    try:
        with bounded_by(known):
            model = task.build_model()
    except ConfigError as error:
        raise ConfigError(list(error.faults), str(folder / CONFIG)) from error
    except ValueError as error:
        raise RunError(str(error)) from error
    missing = load_into(model, [file for file in files if file.name != PEFT_FILE])
    peft = [file for file in files if file.name == PEFT_FILE]
    if peft:
        missing = {name: missing[name] for name in load_into(model, peft, from_peft).keys() & missing.keys()}
    if missing and not is_trainable(folder):
        raise RunError(
            f"{folder}: its weights lack {len(missing)} tensors of the model, e.g. {min(missing)}; export the run again"
        )
    return model


def is_trainable(folder: Path) -> bool:
    """Whether the folder needs base models."""
    return read_object(folder / CONFIG).get("kind") == "trainable"


def exported_checkpoint(folder: Path, which: str) -> Checkpoint:
    """The one checkpoint that a folder holds.

    Raises:
        RunError: another one is asked for.
    """
    record = Record.read(folder)
    checkpoint = Checkpoint(record.step, folder, record.score)
    if which not in ("best", str(checkpoint.step), checkpoint.name):
        raise RunError(f"{folder}: an exported folder with step {checkpoint.step} alone, got --checkpoint {which}")
    return checkpoint


def _with_bases(experiment: Experiment, folder: Path, recorded: Any, given: Mapping[str, Path]) -> Experiment:
    needed = base_paths(experiment.task_config)
    try:
        fingerprints = {part: str(recorded[part]["fingerprint"]) for part in needed}
    except (TypeError, KeyError) as error:
        raise RunError(f"{folder / CONFIG}: lacks the fingerprint of a base; export the run again") from error
    unknown = sorted(given.keys() - needed.keys())
    if unknown:
        raise RunError(f"--base {unknown[0]}: {folder} needs base weights of {', '.join(needed)}, not of {unknown[0]}")
    specs, once = parts(experiment.task_config), functools.cache(fingerprint)
    changed = {}
    for part, (option, path) in needed.items():
        name = str(recorded[part].get("name", path.name))
        if part not in given:
            where = name if HubName.parse(Path(name)) else "FOLDER"
            raise RunError(
                f"{folder}: holds only what was trained and needs the base weights of the {part}, {name!r} "
                f"({fingerprints[part][:19]}...); add --base {part}={where}"
            )
        base = local_folder(given[part], "weights")
        actual = once(base)
        if actual != fingerprints[part]:
            raise RunError(
                f"--base {part}={given[part]}: other weights than those that {folder} was trained on; expected "
                f"{name!r} with {fingerprints[part]}, found {actual}"
            )
        config = dataclasses.replace(specs[part].config, **{option: base})
        changed[part] = dataclasses.replace(specs[part], config=config)
    return dataclasses.replace(experiment, task_config=dataclasses.replace(experiment.task_config, **changed))


def _generation(file: Path) -> dict[str, Any]:
    """Search options of generation_config.json; other keys of transformers are for other libraries."""
    data = read_object(file)
    theirs = {field.name: field.name for field in dataclasses.fields(GenerationConfig)} | {
        "beam_size": "num_beams",
        "no_repeat_ngram": "no_repeat_ngram_size",
    }
    return {name: data[key] for name, key in theirs.items() if key in data}
