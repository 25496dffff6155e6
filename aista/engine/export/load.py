"""Opens an exported folder. Reads JSON and safetensors; runs no code and reads nothing outside the folder."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from aista.engine.checkpoints import Checkpoint
from aista.engine.export.adapters import PEFT_FILE, from_peft
from aista.engine.export.description import MODEL_TYPE, parts
from aista.engine.export.weights import fingerprint, load_into
from aista.errors import RunError
from aista.modules.llms.base import GenerationConfig
from aista.run_folder.paths import RunPaths
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment, map_paths, structure_experiment

__all__ = [
    "CONFIG",
    "GENERATION",
    "RECORD",
    "TRAINABLE",
    "build",
    "exported_checkpoint",
    "is_exported",
    "is_trainable",
    "open_exported",
    "read_record",
]

CONFIG = "config.json"
GENERATION = "generation_config.json"
RECORD = "export.json"
TRAINABLE = "aista_trainable"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".h5", ".msgpack")


def is_exported(folder: Path) -> bool:
    """Whether a folder was written by ``aista export``."""
    file = folder / CONFIG
    return file.is_file() and not RunPaths(folder).is_run and _read(file).get("model_type") == MODEL_TYPE


def open_exported(folder: Path, base: Mapping[str, Path] | None = None) -> Experiment:
    """The experiment of an exported folder, every path made absolute.

    Args:
        folder: Exported folder.
        base: Part -> folder or file of its base weights, for an export of the trainable weights alone.

    Raises:
        RunError: the folder is damaged, or holds something that could run code, or a base is missing or wrong.
        ConfigError: config.json holds impossible options.
    """
    _refuse_pickles(folder)
    config = _read(folder / CONFIG)
    data = config.get("experiment")
    if not isinstance(data, dict) or data.get("plugins"):
        reason = "names plug-ins, which are code" if isinstance(data, dict) else "has no experiment"
        raise RunError(f"{folder / CONFIG}: {reason}; export the run again")
    data = {**data, "evaluation": {**data.get("evaluation", {}), "generation": _generation(folder / GENERATION)}}
    experiment = structure_experiment(data, source=str(folder / CONFIG))

    def inside(path: Path) -> Path:
        if path.is_absolute() or ".." in path.parts:
            raise RunError(f"{folder / CONFIG}: names {path}, which is outside of the folder; export the run again")
        return folder / path

    task_config = map_paths(experiment.task_config, inside)
    experiment = dataclasses.replace(
        experiment, sections=map_paths(experiment.sections, inside), task_config=task_config
    )
    if config.get("kind") != "trainable":
        if base:
            raise RunError(f"{folder}: holds all of its weights; leave --base out")
        return experiment
    return _with_bases(experiment, folder, config.get("base", {}), base or {})


def build(folder: Path, task: Task) -> nn.Module:
    """The model with the folder's weights; ``task`` was built from ``open_exported``.

    Raises:
        RunError: a file of weights is missing, damaged, or does not fit.
    """
    record = read_record(folder)["files"]
    files = [folder / name for name in record if name.endswith(".safetensors")]
    for file in files:
        size = record[file.name]["bytes"]
        if not file.is_file() or file.stat().st_size != size:
            actual = f"{file.stat().st_size} bytes" if file.is_file() else "missing"
            raise RunError(f"{file}: damaged, expected {size} bytes, found {actual}; copy or export the folder again")
    model = task.build_model()
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
    return _read(folder / CONFIG).get("kind") == "trainable"


def exported_checkpoint(folder: Path, which: str) -> Checkpoint:
    """The one checkpoint that a folder holds.

    Raises:
        RunError: another one is asked for.
    """
    record = read_record(folder)
    checkpoint = Checkpoint(int(record["step"]), folder, record["score"])
    if which not in ("best", str(checkpoint.step), checkpoint.name):
        raise RunError(f"{folder}: an exported folder with step {checkpoint.step} alone, got --checkpoint {which}")
    return checkpoint


def read_record(folder: Path) -> dict[str, Any]:
    """export.json: where the folder came from, and its files.

    Raises:
        RunError: it is missing or damaged.
    """
    record = _read(folder / RECORD)
    if not record.keys() >= {"run", "kind", "step", "score", "files"}:
        raise RunError(f"{folder / RECORD}: not the record of an export; export the run again")
    return record


def _with_bases(
    experiment: Experiment, folder: Path, needed: Mapping[str, Mapping[str, str]], given: Mapping[str, Path]
) -> Experiment:
    unknown = sorted(given.keys() - needed.keys())
    if unknown:
        raise RunError(f"--base {unknown[0]}: {folder} needs base weights of {', '.join(needed)}, not of {unknown[0]}")
    specs, once = parts(experiment), functools.cache(fingerprint)
    changed = {}
    for part, wanted in needed.items():
        if part not in given:
            raise RunError(
                f"{folder}: holds only what was trained and needs the base weights of the {part}, {wanted['name']!r} "
                f"({wanted['fingerprint'][:19]}...); add --base {part}=FOLDER"
            )
        actual = once(given[part])
        if actual != wanted["fingerprint"]:
            raise RunError(
                f"--base {part}={given[part]}: other weights than those that {folder} was trained on; expected "
                f"{wanted['name']!r} with {wanted['fingerprint']}, found {actual}"
            )
        config = dataclasses.replace(specs[part].config, **{wanted["option"]: given[part]})
        changed[part] = dataclasses.replace(specs[part], config=config)
    return dataclasses.replace(experiment, task_config=dataclasses.replace(experiment.task_config, **changed))


def _refuse_pickles(folder: Path) -> None:
    for file in sorted(folder.rglob("*")):
        if file.suffix in _PICKLES:
            raise RunError(
                f"{file}: a format that can run code when it is read, which aista never exports; remove it, or get the "
                "folder from a source that you trust"
            )


def _generation(file: Path) -> dict[str, Any]:
    """Search options of generation_config.json; other keys of transformers are for other libraries."""
    data = _read(file)
    theirs = {field.name: field.name for field in dataclasses.fields(GenerationConfig)} | {"beam_size": "num_beams"}
    return {name: data[key] for name, key in theirs.items() if key in data}


def _read(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: missing or no JSON ({error}); copy the folder again, or export it again") from error
    if not isinstance(data, dict):
        raise RunError(f"{file}: must hold a JSON object, got {type(data).__name__}; export the run again")
    return data
