"""Passes validation scores to the task, identically in every process and after a resume."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from fairseq2.gang import Gang

from aista.engine.checkpoints import checkpoint_steps
from aista.files import write_text
from aista.run_folder.metric_records import read_scores
from aista.run_folder.paths import RunPaths
from aista.tasks.base import Task

__all__ = ["ValidationScores", "past_scores", "save_missing_scores"]


def past_scores(file: Path, last_step: int) -> list[tuple[int, float]]:
    """(step, score) of a run's validations up to its last checkpoint; NaN where the score was not finite."""
    return [(step, score) for step, score in read_scores(file).items() if step <= last_step]


def save_missing_scores(run: RunPaths) -> None:
    """Save the checkpoints' scores that are recorded without: after a kill, or an early stop."""
    for checkpoint in checkpoint_steps(run.path):
        file, text = run.checkpoint_score_file(checkpoint.step), f"{checkpoint.score}\n"
        if checkpoint.score is not None and not (file.is_file() and file.read_bytes() == text.encode()):
            write_text(file, text)


class ValidationScores:
    """Passes each score to the task before the next step.

    The score is known to the main process alone; the others learn it where all of them meet anyway.
    """

    def __init__(self, task: Task, gang: Gang, past: Iterable[tuple[int, float]]) -> None:
        self._task = task
        self._gang = gang
        self._step: int | None = None
        self._score = math.nan
        for step, score in past:
            task.end_validation(step, score)

    def ended(self, step: int) -> None:
        """Every process: a validation has ended."""
        self._step = step

    def scored(self, score: float) -> None:
        """The main process: its score."""
        self._score = score if math.isfinite(score) else math.nan

    def deliver(self) -> None:
        """Every process, before a step: tell the task about the validation since the last step, if there was one."""
        if self._step is None:
            return
        score = [self._score]
        if self._gang.size > 1:
            torch.distributed.broadcast_object_list(score)
        self._task.end_validation(self._step, score[0])
        self._step = None
