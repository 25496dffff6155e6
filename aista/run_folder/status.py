"""Status of a run, read from small files: whether it is being trained, steps, scores, and time left."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from aista import strict_yaml
from aista.errors import ConfigError, RunError
from aista.locks import is_locked
from aista.run_folder.failures import read_failure
from aista.run_folder.metric_records import SCORE, last_records, read_records
from aista.run_folder.parsing import parsing, read_object
from aista.run_folder.paths import RunPaths

__all__ = ["DevScore", "RunStatus", "State", "read_status", "seconds_left"]

State = Literal["waiting", "running", "finished", "failed", "stopped"]


@dataclass(frozen=True)
class DevScore:
    """The best validation: the metric that chooses checkpoints, its value, and the step."""

    metric: str
    value: float
    step: int


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """One run.

    Attributes:
        folder: The run folder.
        state: ``stopped``: begun, but not being trained now; ``waiting``: not begun.
        step: The last recorded step.
        max_steps: Total number of steps; 0 where the config cannot be read.
        best: The best validation; None where there was none.
        scores: Label of an evaluation -> metric -> value.
        seconds_left: Estimated training time left; None where it is not being trained or cannot be estimated yet.
        problem: Why it failed, or which part cannot be read.
    """

    folder: Path
    state: State
    step: int = 0
    max_steps: int = 0
    best: DevScore | None = None
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds_left: float | None = None
    problem: str = ""


def read_status(folder: Path) -> RunStatus:
    """Read the status of a run folder; damage is reported in ``problem``."""
    run = RunPaths(folder)
    state: State = "running" if is_locked(run.training_lock) else "finished" if run.is_complete else "stopped"
    try:
        problem = read_failure(run)
        config = _mapping(strict_yaml.parse(run.config_file.read_text(encoding="utf-8"), str(run.config_file)))
        file = run.metrics_file("train")
        records = last_records(file) if file.is_file() else []
        step = int(records[-1]["step"]) if records else 0
        with parsing(run.config_file):
            max_steps = int(_mapping(config.get("trainer")).get("max_steps", 0))
        age = time.time() - file.stat().st_mtime if records else 0.0
        left = seconds_left(records, max_steps) if state == "running" else None
        return RunStatus(
            folder=folder,
            state="failed" if problem and state == "stopped" else state,
            step=step,
            max_steps=max_steps,
            best=_best(run, str(_mapping(config.get("evaluation")).get("score", "nll"))),
            scores={label: _scores(run, label) for label in run.evaluated_splits()},
            seconds_left=None if left is None else max(0.0, left - age),
            problem=problem,
        )
    except (RunError, ConfigError, OSError, UnicodeDecodeError) as error:
        return RunStatus(folder=folder, state=state, problem=str(error).replace("\n", " "))


def seconds_left(records: Sequence[Mapping[str, Any]], max_steps: int) -> float | None:
    """Estimate the seconds until the last step from the records; None with fewer than two of one process.

    Validations between them count; ``wall_time`` begins anew where a run is resumed.
    """
    steps = seconds = 0.0
    for before, after in pairwise(records):
        lapse = after.get("wall_time", 0.0) - before.get("wall_time", math.inf)
        if lapse > 0:
            steps, seconds = steps + after["step"] - before["step"], seconds + lapse
    return (max_steps - records[-1]["step"]) * seconds / steps if steps else None


def _best(run: RunPaths, metric: str) -> DevScore | None:
    file = run.metrics_file("valid")
    known = [record for record in (read_records(file) if file.is_file() else []) if record.get(SCORE) is not None]
    if not known:
        return None
    best = max(known, key=lambda record: record[SCORE])
    named = best.get(metric)
    return DevScore(metric if named is not None else SCORE, best[SCORE] if named is None else named, int(best["step"]))


def _scores(run: RunPaths, label: str) -> dict[str, float]:
    file = run.scores_file(label)
    data = read_object(file, run.evaluate_command(label))
    with parsing(file):
        return {str(score["name"]): float(score["value"]) for score in data["scores"]}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
