"""Claims a run folder for one experiment, so that no other one is ever trained in it."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import aista
from aista.config import differences, dump_yaml, load_yaml, replace_nodes
from aista.engine.precision import choose
from aista.engine.standalone import save_assets
from aista.environment import source_commit
from aista.errors import AistaError, PluginError, RunError
from aista.files import leftover_prefix, write_text
from aista.locks import locked
from aista.plain import changes_weights
from aista.run_folder.assets import Assets
from aista.run_folder.parsing import read_object, require_unedited, sealed_text, write_object
from aista.run_folder.paths import RunPaths
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment, load_experiment

__all__ = [
    "claim",
    "describe_environment",
    "holds",
    "is_main_process",
    "open_experiment",
    "recorded_commits",
    "released_if_unused",
    "training_lock",
]

log = logging.getLogger("aista.train")

CLAIM_SECONDS = 600.0
_LENGTH = "trainer.max_steps"
Change = tuple[str, Any, Any]
"""``(path of an option, its value in the run, the requested value)``."""
_PACKAGES = ("torch", "torchaudio", "fairseq2", "transformers", "sentencepiece", "pot", "sacrebleu", "numpy")


def is_main_process() -> bool:
    """Whether this process writes the run folder (torchrun's rank 0, or the only process)."""
    return os.environ.get("RANK", "0") == "0"


def claim(run_dir: Path, experiment: Experiment, task: Task) -> bool:
    """Write the resolved config, the environment and the assets, or check that the folder holds this experiment.

    A run that is there takes over a raised ``trainer.max_steps`` and options that change no weights. Of several
    processes the main one writes; the others return once it has, so that none of their files lies in the folder before.

    Returns:
        Whether this call wrote them.

    Raises:
        AistaError: the folder belongs to another experiment (names the options that differ), or is a
            non-empty folder that is not a run.
        RunError: this is not the main process, and the main one has not written the config in ``CLAIM_SECONDS``, or has
            found a model on the hub at another commit.
    """
    file, environment = RunPaths(run_dir).config_file, RunPaths(run_dir).environment_file
    if not is_main_process():
        _wait_for(file)
        _require_commits(run_dir, experiment)
        return False
    if RunPaths(run_dir).is_run:
        _take_over(run_dir, _permitted_changes(run_dir, experiment))
        if not _is_described(environment):
            write_object(environment, describe_environment(experiment))
        return False
    if run_dir.is_dir() and not _is_unused(run_dir):
        raise AistaError(f"{run_dir}: not empty and not a run folder (it has no {file.name}); choose another folder")
    save_assets(run_dir, experiment, task)
    write_object(environment, describe_environment(experiment))
    write_text(file, sealed_text(dump_yaml(experiment.to_plain())))  # the last: from now on it is a run folder
    return True


def _take_over(run_dir: Path, changes: Sequence[Change]) -> None:
    """Update options of a run's config that may change: more steps, and options without effect on the weights."""
    if not changes:
        return
    run = RunPaths(run_dir)
    require_unedited(run.config_file)
    if any(at == _LENGTH for at, _, _ in changes):
        run.timing_file.unlink(missing_ok=True)  # it says that training came to its end
    for at, old, new in changes:
        log.info("%s: %s is now %r, was %r", run_dir, at, new, old)
    changed = replace_nodes(load_yaml(run.config_file), {at: new for at, _, new in changes})
    write_text(run.config_file, sealed_text(dump_yaml(changed)))


@contextmanager
def training_lock(run_dir: Path) -> Iterator[None]:
    """Lock the folder against other trainings while the block runs; of several processes, the main one does.

    Raises:
        RunError: another process trains in it, or the folder cannot be written.
    """
    with locked(RunPaths(run_dir).training_lock, run_dir) if is_main_process() else nullcontext():
        yield


@contextmanager
def released_if_unused(run_dir: Path, *, claimed: bool) -> Iterator[None]:
    """Remove the config if an error ends a start before any training, so that a corrected config is accepted.

    The logs stay, unless a plug-in is at fault: then all of the start goes. A folder with metrics, checkpoints or
    pretraining stages keeps its config.

    Args:
        run_dir: The run folder.
        claimed: The result of ``claim``; only the call that wrote the config removes it.
    """
    try:
        yield
    except (AistaError, OSError) as error:  # not Ctrl-C: `aista train RUN` goes on from there
        if claimed and isinstance(error, PluginError) and RunPaths(run_dir).is_untrained:
            _remove_start(RunPaths(run_dir))
        elif claimed and _is_unused(run_dir):
            RunPaths(run_dir).config_file.unlink()
            RunPaths(run_dir).tracking_file.unlink(missing_ok=True)  # a corrected run is another one
        raise


def _remove_start(run: RunPaths) -> None:
    """Remove the files of a start; the lock, and a folder made for the run, are removed when the lock is released."""
    for path in run.path.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != run.training_lock:
            path.unlink()


def holds(run_dir: Path, experiment: Experiment) -> bool:
    """Whether a folder is the run folder of this experiment, for as many steps.

    False if it is no run folder, or one of the same experiment for fewer steps. Options that change no weights do not
    count; one that the aista of then did not know has today's default. Paths are the same if they lead to one place.

    Raises:
        AistaError: it belongs to another experiment; names the options that differ.
        ConfigError: it has options that this aista does not know.
    """
    if not RunPaths(run_dir).is_run:
        return False
    return all(at != _LENGTH for at, _, _ in _permitted_changes(run_dir, experiment))


def _permitted_changes(run_dir: Path, experiment: Experiment) -> list[Change]:
    """Permitted differences between a run's options and the requested ones. Raises as ``holds``."""
    there, asked = _recorded(run_dir), experiment.from_folder(Path.cwd())
    identifying = differences(there.to_plain(changes_weights), asked.to_plain(changes_weights))
    lines = [f"{at}: {old!r} there, {new!r} here" for at, old, new in identifying if at != _LENGTH or new < old]
    if lines:
        raise AistaError(
            f"{run_dir}: this run folder holds another experiment; it differs in {'; '.join(lines[:5])}"
            + (f" and {len(lines) - 5} more" if len(lines) > 5 else "")
            + ". Choose another folder, or remove this one"
        )
    return list(differences(there.to_plain(), asked.to_plain()))


def _recorded(run_dir: Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of a run folder, with every path absolute."""
    file, start = RunPaths(run_dir).config_file, Assets.load(RunPaths(run_dir)).start
    return load_experiment(file, overrides, start=start, commits=recorded_commits(run_dir))


def _is_unused(run_dir: Path) -> bool:
    """Whether a folder is empty, or has only files that a start writes before its first step."""
    run = RunPaths(run_dir)
    early = (run.config_file, run.environment_file, run.data_file, run.parameters_file, run.engine_dir, run.assets_dir)
    tracked = (run.tracking_file, run.tracking_dir)
    known = {path.name for path in (*early, *tracked, run.checkpoints_dir, run.training_lock)}
    half_written = tuple(map(leftover_prefix, known))
    names = {path.name for path in run_dir.iterdir() if not path.name.startswith(half_written)}
    return names <= known and not run.has_checkpoints


def _require_commits(run_dir: Path, experiment: Experiment) -> None:
    """Raise RunError where the main process found a model on the hub at another commit than this one."""
    recorded = recorded_commits(run_dir) or {}
    for name, commit in experiment.commits.items():
        if recorded.get(name, commit) != commit:
            raise RunError(f"{name}: moved on the hub from one process to the next; repeat the command")


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + CLAIM_SECONDS
    while not file.is_file():
        if time.monotonic() > deadline:
            raise RunError(
                f"{file}: not written by the main process within {CLAIM_SECONDS:.0f} s; every process needs to see the "
                "same run folder (on several machines, one on a shared file system)"
            )
        time.sleep(0.05)


def open_experiment(run_dir: Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of an existing run folder, with every path absolute; relative ones start where the run was begun.

    Args:
        run_dir: The run folder.
        overrides: ``key=value`` changes of its config.

    Raises:
        RunError: there is none, or its config was edited since.
    """
    run = RunPaths(run_dir)
    file = run.config_file
    if not file.is_file():
        raise RunError(
            f"{run_dir}: not a run folder (no {file.name}); make one with `aista train {run_dir} --config ...`"
        )
    require_unedited(file)
    return _recorded(run_dir, overrides)


def recorded_commits(run_dir: Path) -> Mapping[str, str] | None:
    """Name on the hub -> the commit of it that a run began with; None where there is no run."""
    run = RunPaths(run_dir)
    if not run.is_run:
        return None
    try:
        models = read_object(run.environment_file, "aista train").get("models", {})
    except RunError:  # `claim` says so, and writes it anew; the names in config.yaml hold their commits
        return {}
    return {str(name): str(commit) for name, commit in models.items()}


def _is_described(file: Path) -> bool:
    """Whether a run's environment file exists and is undamaged."""
    try:
        read_object(file, "aista train")
    except RunError as error:
        log.warning("%s; written anew with the versions of today", error)
        return False
    return True


def describe_environment(experiment: Experiment) -> dict[str, Any]:
    """Versions, device, chosen precision, commits on the hub; never environment variables, which can hold secrets."""
    chosen = {"mixed_precision": choose().to_json()} if experiment.sections.trainer.mixed_precision == "auto" else {}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return {
        "aista": aista.__version__,
        "commit": source_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "packages": {name: _version(name) for name in _PACKAGES},
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        **chosen,
        **({"models": dict(experiment.commits)} if experiment.commits else {}),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
