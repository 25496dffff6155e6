"""Writes a finished run as a self-contained folder."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

import aista
from aista.engine.checkpoints import Checkpoint, find_checkpoint, load_weights
from aista.engine.claim import open_experiment
from aista.engine.export.adapters import has_peft_layout, save_peft
from aista.engine.export.card import model_card
from aista.engine.export.description import MODEL_TYPE, base_paths, describe, generation_to_json, parts
from aista.engine.export.for_transformers import check_parts, loading_lines, save_qwen2_audio
from aista.engine.export.load import CONFIG, GENERATION, TRAINABLE, open_exported
from aista.engine.export.plugin_files import PLUGINS
from aista.engine.export.record import CARD, RECORD, Record, check_replaceable, hash_files
from aista.engine.export.weights import fingerprint, save_weights
from aista.engine.standalone import with_assets
from aista.errors import RunError
from aista.files import hash_file, replacing_folder, require_writable, write_json, write_text
from aista.hub import HubName, cached_folder
from aista.run_folder.paths import RunPaths
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment
from aista.tasks.preflight import build_task

__all__ = ["export"]

Kind = Literal["whole", "merged", "trainable", "transformers"]


@dataclass(frozen=True)
class _Run:
    path: Path
    experiment: Experiment
    task: Task
    checkpoint: Checkpoint
    kind: Kind
    shard_bytes: int
    verify: bool

    @property
    def id(self) -> str:
        """Hash of the config: two runs of one config have the same."""
        return hash_file(RunPaths(self.path).config_file)

    @functools.cached_property
    def bases(self) -> dict[str, dict[str, str]]:
        """Name and fingerprint of each part's base weights."""
        once = functools.cache(fingerprint)  # parts may come out of one folder
        bases = {}
        for part, (option, path) in base_paths(self.experiment.task_config).items():
            folder = cached_folder(path)
            if folder is None and self.kind != "trainable":
                continue  # a whole model needs no base
            name = str(path) if path != folder and HubName.parse(path) else path.resolve().name
            bases[part] = {"option": option, "name": name, "fingerprint": once(folder or path)}
        return bases


def export(
    run_dir: Path,
    out: Path,
    *,
    which: str = "best",
    kind: Kind = "whole",
    shard_bytes: int = 5_000_000_000,
    verify: bool = True,
) -> list[str]:
    """Write a folder in Hugging Face's layout that ``open_run`` opens like the run.

    Args:
        run_dir: Finished run.
        out: Folder to make; replaced only where it is this run's export, unchanged since.
        which: Checkpoint: ``best``, ``last`` or a step number.
        kind: ``whole``; ``merged``: with LoRA merged into the weights; ``trainable``: without weights in the base
            models' own folders; ``transformers``: merged, as the model of transformers that its parts come from, which
            transformers loads without aista.
        shard_bytes: Maximum size of a file of weights.
        verify: Compare the checkpoint with its checksums first.

    Returns:
        Names of the files written.

    Raises:
        RunError: the run is not finished, cannot be exported, or ``out`` is something else.
    """
    original = open_experiment(run_dir)
    if not RunPaths(run_dir).is_complete:
        raise RunError(
            f"{run_dir}: its training is not finished; resume it with `aista train {run_dir}`, then export it"
        )
    is_whole = kind != "trainable"
    experiment = with_assets(original, run_dir) if is_whole else original
    task = build_task(experiment, pretrained="skip" if is_whole else "load")
    run = _Run(run_dir, original, task, find_checkpoint(run_dir, which), kind, shard_bytes, verify)
    if kind == "transformers":
        check_parts(task)
    check_replaceable(out, run.id, kind)
    require_writable(out)
    with replacing_folder(out) as folder:
        model = run.task.build_model()
        table = run.task.select_trainable(model)
        if kind == "transformers":
            _save_for_transformers(folder, run, model)
        else:
            _save_for_aista(folder, run, model, experiment)
        loading = loading_lines(task) if kind == "transformers" else ""
        code = sorted((folder / PLUGINS).glob("*.py"))
        card = model_card(run_dir, original, run.checkpoint, table, run.bases, kind, loading, code)
        write_text(folder / CARD, card)
        record = Record(run.id, kind, run.checkpoint.step, run.checkpoint.score, hash_files(folder))
        record.write(folder)
        if kind in ("whole", "merged"):
            _check_prompt(folder, run.task)
        check_replaceable(out, run.id, kind)  # it may have got a file meanwhile
    return [*record.files, RECORD]


def _save_for_aista(folder: Path, run: _Run, model: nn.Module, experiment: Experiment) -> None:
    config = describe(experiment, run.task, folder, whole=run.kind != "trainable")
    _save_model(folder, run, model, config)
    head = {"model_type": MODEL_TYPE, "architectures": [type(model).__name__], "aista_version": aista.__version__}
    write_json(folder / CONFIG, {**head, "kind": run.kind, "base": run.bases, **config})
    write_json(folder / GENERATION, generation_to_json(experiment.sections.evaluation.generation, run.task))


def _save_for_transformers(folder: Path, run: _Run, model: nn.Module) -> None:
    _load(run, model, load_weights(run.checkpoint, verify=run.verify))
    _merge(run.task, model)
    generation = run.experiment.sections.evaluation.generation
    save_qwen2_audio(folder, run.task, model, generation, run.shard_bytes)


def _load(run: _Run, model: nn.Module, weights: dict[str, Tensor]) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise _unfit(run) from error


def _save_model(folder: Path, run: _Run, model: nn.Module, config: dict[str, Any]) -> None:
    weights = load_weights(run.checkpoint, verify=run.verify)
    if run.kind == "trainable":
        _save_trainable(folder, run, model, weights)
        return
    _load(run, model, weights)
    if run.kind == "merged":
        merged = _merge(run.task, model)
        if not merged:
            raise RunError("no part of this run has LoRA, so there is nothing to merge; export without --merge-lora")
        for part in merged:
            config["experiment"][part]["tuning"] = None
    save_weights(folder, model.state_dict(), shard_bytes=run.shard_bytes)


def _merge(task: Task, model: nn.Module) -> list[str]:
    """Merge parameters added by tunings; returns the changed parts."""
    merged = []
    for part, tuning in task.tunings.items():
        module = model.get_submodule(part)
        before = module.state_dict().keys()
        try:
            tuning.merge(module)
        except ValueError as error:
            raise RunError(f"{part}.tuning cannot be merged: {error}; export it as it is") from error
        if module.state_dict().keys() != before:
            merged.append(part)
    return merged


def _save_trainable(folder: Path, run: _Run, model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Weights that were trained or otherwise differ from the base models' folders."""
    if not run.bases:
        raise RunError(
            f"{run.path}: no part of its model starts from a base model's files, so everything is needed; export "
            "without --trainable-only"
        )
    state = model.state_dict()
    if state.keys() != weights.keys():
        raise _unfit(run)
    trained = {name for name, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    exported = {
        name: tensor
        for name, tensor in weights.items()
        if name in trained or name.partition(".")[0] not in run.bases or not _same(state[name], tensor)
    }
    llm = parts(run.experiment.task_config).get("llm")
    lora = {name: tensor for name, tensor in exported.items() if has_peft_layout(name, llm)}
    if lora:
        assert llm is not None
        assert llm.tuning is not None
        save_peft(folder, lora, llm.tuning.config, run.bases["llm"]["name"])
    rest = {name: tensor for name, tensor in exported.items() if name not in lora}
    if rest:
        save_weights(folder, rest, TRAINABLE, shard_bytes=run.shard_bytes)


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def _unfit(run: _Run) -> RunError:
    return RunError(
        f"{run.checkpoint.path}: its weights do not fit the model that {RunPaths(run.path).config_file} describes; "
        "was the config edited after training?"
    )


def _check_prompt(folder: Path, task: Task) -> None:
    """Check that the copied tokenizer equals the run's, by encoding the prompt."""
    copied = build_task(open_exported(folder, verify=False), pretrained="skip")
    ours, theirs = (
        (one.tokenizer.vocab_size, None if one.prompts is None else one.prompts.examples) for one in (task, copied)
    )
    if ours != theirs:
        raise RunError("the copied tokenizer differs from the run's; write it with save_pretrained into its folder")
