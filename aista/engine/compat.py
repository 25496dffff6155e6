"""Workarounds for fairseq2, in one place: secrets in logs, early stopping, state files, types, log messages."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import fairseq2.models.family
import fairseq2.recipe
import torch
from fairseq2.checkpoint import CheckpointError, CheckpointManager, StandardCheckpointManager
from fairseq2.device import CPU, Device
from fairseq2.early_stopper import EarlyStopper
from fairseq2.error import OperationalError, StateDictError, raise_operational_system_error
from fairseq2.file_system import LocalFileSystem
from fairseq2.gang import Gang, GangContext, GangError, Gangs, create_fake_gangs
from fairseq2.logging import configure_logging
from fairseq2.model_checkpoint import CorruptModelCheckpointError, ModelCheckpointLoadOptions
from fairseq2.model_checkpoint.native import _NativeModelCheckpointLoader
from fairseq2.recipe.internal.log import _StandardLogHelper
from fairseq2.task import TaskStopException
from fairseq2.trainer import Trainer, _TrainerState
from fairseq2.utils.rich import get_error_console
from torch import Tensor

from aista.engine.state_files import StateDumper, StateLoader
from aista.errors import RunError
from aista.files import explain
from aista.run_folder.checksums import way_back, write_checksums
from aista.run_folder.paths import RunPaths
from aista.terminal import MessageFormatter, terminal_handler

__all__ = [
    "PatienceStopper",
    "guard_state_files",
    "keep_in_log_files",
    "load_sharded_model",
    "patch_fairseq2",
    "run_recipe",
    "set_early_stopper",
    "settle_once_restored",
]


def patch_fairseq2() -> None:
    """Patch fairseq2 0.8.1 where it has no option; a second call changes nothing."""
    _StandardLogHelper.log_environment_variables = _log_no_environment  # type: ignore[method-assign]
    # `fairseq2.recipe.run` is the function of that name; the module behind it holds what it calls.
    run_module = vars(sys.modules["fairseq2.recipe.run"])
    run_module["configure_logging"] = _configure_logging
    for module in ("fairseq2.logging", "fairseq2.recipe.internal.logging"):  # its terminal and its log files
        vars(sys.modules[module])["Formatter"] = MessageFormatter
    # Its deprecation warnings speak to authors of fairseq2 recipes, not to users of aista.
    run_module["enable_deprecation_warnings"] = lambda: None
    vars(sys.modules["fairseq2.models.family"])["set_dtype"] = _own_dtypes


def _log_no_environment(self: _StandardLogHelper) -> None:
    """Replaces a method that writes every environment variable, secrets included, to the log."""


def _configure_logging(no_rich: bool = False) -> None:
    """Replaces a function that puts every message of fairseq2 on the terminal."""
    configure_logging(no_rich)
    logging.raiseExceptions = False  # a full disk shows where a run must write, not in a traceback for each line of log
    _quiet_console()


def keep_in_log_files() -> None:
    """Also write aista's messages to fairseq2's log file of this process; call it once the file is open.

    Processes but the main one write to no terminal: what they say is there alone.
    """
    handlers = logging.getLogger("fairseq2").handlers
    logging.getLogger("aista").handlers[:] = [one for one in handlers if isinstance(one, logging.FileHandler)]


def _own_dtypes(dtype: torch.dtype) -> AbstractContextManager[None]:
    """Replaces a mode that gives every tensor made without a type the type of the recipe.

    transformers loads weights by such tensors: checkpoints in bfloat16 would become float32.
    """
    return nullcontext()


def run_recipe(recipe: fairseq2.recipe.Recipe, config: object, run_dir: Path) -> None:
    """Run a training recipe; its own files go to RUN/engine, checkpoints to RUN/checkpoints.

    Raises:
        RunError: training failed for a reason that fairseq2 reports in one sentence.
    """
    patch_fairseq2()
    run = RunPaths(run_dir)
    try:
        fairseq2.recipe.run(recipe, config, run.engine_dir, checkpoint_dir=run.checkpoints_dir)
    except TaskStopException:
        pass  # early stopping; with a step limit set, fairseq2 ignores other requests to stop
    except (OperationalError, GangError, CheckpointError, StateDictError, OSError) as error:
        for cause in _causes(error):
            if isinstance(cause, OSError):
                raise RunError(explain(cause, run_dir)) from error
        raise RunError(f"{run_dir}: training failed: {_chain(error)}; see {run.engine_logs_dir}") from error


def _chain(error: BaseException) -> str:
    """The messages of an exception and of its causes, outermost first."""
    return ": ".join(str(cause).rstrip(".") for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and its causes, outermost first."""
    while error is not None:
        yield error
        error = error.__cause__


class PatienceStopper(EarlyStopper):
    """Stops after ``patience`` validations in a row without a better score.

    Args:
        patience: Number of validations.
        history: Scores of the validations so far, so that a resumed run stops where the uninterrupted one would.
    """

    def __init__(self, patience: int, history: list[float]) -> None:
        self._patience = patience
        self._scores = history

    def should_stop(self, step_nr: int, score: float) -> bool:
        self._scores.append(score)
        return self.is_exhausted

    @property
    def is_exhausted(self) -> bool:
        """Whether the last scores are not better than an earlier one."""
        scores = [score if math.isfinite(score) else -math.inf for score in self._scores]
        best = scores.index(max(scores)) if scores else -1
        return len(scores) - 1 - best >= self._patience


def set_early_stopper(trainer: Trainer, stopper: EarlyStopper) -> None:
    """Give the trainer an early stopper: its factory hard-codes one that never stops."""
    trainer._early_stopper = stopper


def settle_once_restored(trainer: Trainer, *, validate: bool) -> None:
    """Make a resumed trainer first complete the work after its checkpoint that a kill may have interrupted.

    fairseq2 saves a step's checkpoint, then deletes stale ones, validates and perhaps stops early; a resumed trainer
    continues behind all of it.

    Args:
        trainer: Has a checkpoint, and its early stopper if any.
        validate: Whether the checkpoint's step still needs its validation.
    """
    restore = trainer._maybe_restore_state

    def restore_and_settle() -> _TrainerState:
        state = restore()
        trainer._delete_stale_checkpoints()
        stopper = trainer._early_stopper
        stop = isinstance(stopper, PatienceStopper) and stopper.is_exhausted
        if validate:
            trainer._state = _TrainerState.END_OF_TRAINING  # where every score is saved with the checkpoint
            score = trainer._validate()
            stop = score is not None and trainer._maybe_request_early_stop(score)
        return _TrainerState.STOPPED if stop else state

    trainer._maybe_restore_state = restore_and_settle  # type: ignore[method-assign]


def guard_state_files(manager: CheckpointManager, gang: Gang, *, verify: bool) -> None:
    """Let fairseq2 write checkpoints with checksums, and read them without running code: it unpickles all but models.

    Args:
        manager: The trainer's.
        gang: All processes; each writes files of its own.
        verify: Compare checksums on reading.

    Raises:
        RunError: the last checkpoint lacks its trainer's state; fairseq2 would silently resume from an earlier one.
    """
    assert isinstance(manager, StandardCheckpointManager)
    last = manager.maybe_get_last_step_number()
    if last is not None and last != manager.maybe_get_last_step_number(exclude_model_only=True):
        folder = manager._checkpoint_dir / manager._get_step_dir_name(last)
        raise RunError(f"{folder}: has no trainer state; {way_back(folder)}")
    dumper, commit = StateDumper(), manager._commit_checkpoint
    manager._tensor_file_loader, manager._tensor_file_dumper = StateLoader(verify=verify), dumper

    def write_checksums_and_commit(step_nr: int) -> None:
        folder = manager._checkpoint_dir / manager._get_step_dir_name(step_nr, tmp=True)
        own = dumper.take_checksums(folder)
        written = [own] * gang.size
        if gang.size > 1:
            torch.distributed.all_gather_object(written, own)
        if gang.rank == 0:
            try:
                write_checksums(folder, {name: sha256 for part in written for name, sha256 in part.items()})
            except OSError as error:
                raise_operational_system_error(error)
        commit(step_nr)

    manager._commit_checkpoint = write_checksums_and_commit  # type: ignore[method-assign]


def load_sharded_model(folder: Path, *, verify: bool = True) -> dict[str, Tensor]:
    """Read the ``model`` folder of a checkpoint, whatever number of FSDP shards wrote it; no code is executed.

    Raises:
        RunError: it is damaged; names the checkpoints to go back to.
    """
    loader = _NativeModelCheckpointLoader(LocalFileSystem(), StateLoader(verify=verify), _FakeGangContext())
    options = ModelCheckpointLoadOptions(gangs=create_fake_gangs(CPU), mmap=False, restrict=True)
    try:
        return dict(loader.lazy_load(folder, {}, options))
    except (CorruptModelCheckpointError, FileNotFoundError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(f"{folder}: no whole model ({_chain(error)}); {way_back(folder.parent)}") from error


class _FakeGangContext(GangContext):
    def get_current_gangs(self, device: Device | None = None) -> Gangs:
        return create_fake_gangs(device or CPU)

    def set_gangs(self, gangs: Gangs, *, meta: bool = False) -> AbstractContextManager[None]:
        return nullcontext()


class _OursOrSevere(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("aista"):
            return True
        return record.levelno >= logging.WARNING and "will be run on CPU" not in record.getMessage()


def _quiet_console() -> None:
    """Show only aista's messages and warnings in the terminal; the log file keeps everything.

    ``AISTA_VERBOSE=1`` shows fairseq2's messages too.
    """
    rank = int(os.environ.get("RANK", "0"))
    if os.environ.get("AISTA_VERBOSE") == "1" or rank != 0:
        return
    handler = terminal_handler(get_error_console())
    handler.addFilter(_OursOrSevere())
    logging.getLogger().handlers[:] = [handler]
