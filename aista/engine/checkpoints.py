"""Finds checkpoints in a run folder and loads weights from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from aista.engine.compat import load_sharded_model
from aista.errors import RunError
from aista.run_folder.checksums import require_complete
from aista.run_folder.metric_records import read_scores
from aista.run_folder.paths import RunPaths, checkpoint_name

__all__ = ["Checkpoint", "checkpoint_steps", "find_checkpoint", "load_part_weights", "load_weights"]


@dataclass(frozen=True)
class Checkpoint:
    """A saved step of a run. ``score`` is its validation score (higher is better), if it has one."""

    step: int
    path: Path
    score: float | None

    @property
    def name(self) -> str:
        """``step_N``."""
        return checkpoint_name(self.step)


def checkpoint_steps(run_dir: Path) -> list[Checkpoint]:
    """All complete checkpoints of a run, oldest first.

    Raises:
        RunError: the file of a score is damaged, or says something else than the record of the validation.
    """
    run = RunPaths(run_dir)
    recorded = read_scores(run.metrics_file("valid"))
    return [
        Checkpoint(
            step, run.checkpoint_dir(step), _score(run.checkpoint_score_file(step), recorded.get(step, math.nan))
        )
        for step in run.checkpoint_steps()
    ]


def find_checkpoint(run_dir: Path, which: str = "best") -> Checkpoint:
    """The checkpoint named ``best``, ``last`` or by its step number.

    ``best`` is the one with the highest validation score, or the last where none was scored.

    Raises:
        RunError: the run has no such checkpoint; says which it has.
    """
    checkpoints = checkpoint_steps(run_dir)
    if not checkpoints:
        raise RunError(f"{run_dir}: no checkpoint yet; train with `aista train {run_dir} --config ...`")
    if which == "last":
        return checkpoints[-1]
    if which == "best":
        scored = [checkpoint for checkpoint in checkpoints if checkpoint.score is not None]
        return max(scored, key=lambda checkpoint: (checkpoint.score, checkpoint.step)) if scored else checkpoints[-1]
    for checkpoint in checkpoints:
        if which in (str(checkpoint.step), checkpoint.name):
            return checkpoint
    known = ", ".join(str(checkpoint.step) for checkpoint in checkpoints)
    raise RunError(f"{run_dir}: no checkpoint {which!r}; it has steps {known}; or say best or last")


def load_weights(checkpoint: Checkpoint, *, verify: bool = True) -> dict[str, Tensor]:
    """The model's weights on the CPU. Reads tensors only; no code is executed.

    Args:
        checkpoint: Checkpoint of any run.
        verify: Compare the files with their checksums first.

    Raises:
        RunError: it is damaged; names the checkpoints to go back to.
    """
    if verify:
        require_complete(checkpoint.path)
    return load_sharded_model(checkpoint.path / "model", verify=verify)


def load_part_weights(run_dir: Path, part: str, which: str = "best", *, verify: bool = True) -> dict[str, Tensor]:
    """Weights of one part (encoder, adapter, llm) of a run's checkpoint; ``which`` as in ``find_checkpoint``.

    Raises:
        RunError: no checkpoint, or a damaged one, or its model has no such part.
    """
    weights = load_weights(find_checkpoint(run_dir, which), verify=verify)
    prefix = f"{part}."
    part_weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    if not part_weights:
        parts = sorted({name.split(".")[0] for name in weights})
        raise RunError(f"{run_dir}: its model has no part {part!r}; it has {', '.join(parts)}")
    return part_weights


def _score(file: Path, recorded: float) -> float | None:
    """The score that a validation recorded (NaN: it did not); the file repeats it for fairseq2."""
    text = file.read_bytes() if file.is_file() else b""
    score = recorded
    if text.endswith(b"\n"):  # else a kill cut it off
        try:
            score = float(text)
        except ValueError as error:
            raise RunError(f"{file}: not a score, got {text[:40]!r}; {_AS_RECORDED}") from error
    if score != recorded and not math.isnan(recorded):
        raise RunError(f"{file}: {score}, but its validation recorded {recorded}; {_AS_RECORDED}")
    return None if math.isnan(score) else score


_AS_RECORDED = "remove it, and what the validation recorded counts"
