"""Overview of the runs in a folder, those of ablations by their names; reads only small files."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aista.console import duration
from aista.errors import RunError
from aista.locks import is_locked
from aista.report.tables import NONE, Table, label_of
from aista.run_folder.parsing import parsing
from aista.run_folder.paths import CONFIG, PRETRAINING
from aista.run_folder.run_names import ABLATION_RUNS, ablation_name, ablation_run_label
from aista.run_folder.status import RunStatus, read_status
from aista.runs.jobs import JobFiles

__all__ = ["ListedRun", "list_runs", "overview_lines", "overview_table", "to_json"]


@dataclass(frozen=True)
class ListedRun:
    """A run and its name: its path in the folder; in an ablation, the ablation's path, then row and seed."""

    name: str
    status: RunStatus


def list_runs(folder: Path) -> list[ListedRun]:
    """List all runs in a folder, including those that an ablation has not started, and unfinished pretraining stages.

    Raises:
        RunError: there is no such folder, or no run in it.
        OSError: a folder within cannot be read.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; name one that holds run folders")
    found = [ListedRun(_name(path, folder), _with_job(read_status(path))) for path in _run_folders(folder)]
    found = [run for run in found if run.status.state != "finished" or run.status.folder.parent.name != PRETRAINING]
    known = {run.status.folder.resolve() for run in found}
    found += [run for run in _waiting(folder) if run.status.folder.resolve() not in known]
    if not found:
        raise RunError(f"{folder}: no run folder lies in it; `aista train RUN --config FILE` makes one")
    return sorted(found, key=lambda run: run.name)


def overview_table(runs: Sequence[ListedRun]) -> Table:
    """A row per run."""
    rows = tuple(
        (
            run.name,
            run.status.state,
            _step(run.status),
            _dev(run.status),
            _test(run.status),
            NONE if run.status.seconds_left is None else duration(run.status.seconds_left),
        )
        for run in runs
    )
    counts = Counter(run.status.state for run in runs)
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    title = f"{len(runs)} run{'' if len(runs) == 1 else 's'}: {states}"
    return Table(title, ("Run", "State", "Step", "Best on dev", "Test", "Left"), rows, num_names=2)


def overview_lines(runs: Sequence[ListedRun]) -> Iterator[str]:
    """Lines below the table: why runs failed, and what cannot be read."""
    yield from (f"{run.name}: {run.status.problem}" for run in runs if run.status.problem)


def to_json(runs: Sequence[ListedRun]) -> list[dict[str, Any]]:
    """The output of ``--json``: an object per run."""
    return [{"name": run.name, **asdict(run.status), "folder": str(run.status.folder)} for run in runs]


def _run_folders(folder: Path) -> Iterator[Path]:
    """Every run folder, and inside it only pretraining stages."""

    def refuse(error: OSError) -> None:
        raise error

    for place, below, files in os.walk(folder, onerror=refuse):
        below.sort()
        if CONFIG in files:
            yield Path(place)
            below[:] = [name for name in below if name == PRETRAINING]


def _waiting(folder: Path) -> Iterator[ListedRun]:
    """The runs in an ablation's index that have no folder yet."""
    for index in sorted({path.parent / ABLATION_RUNS for path in folder.glob(f"**/{ABLATION_RUNS}")}):
        with parsing(index, "; `aista ablate` writes it anew"):
            for run in json.loads(index.read_bytes()):
                path = index.parent / run["folder"]
                if not (path / CONFIG).is_file():
                    name = _within(index.parent, folder, ablation_run_label(str(run["name"]), int(run["seed"])))
                    yield ListedRun(name, _with_job(RunStatus(folder=path, state="waiting")))


def _name(path: Path, folder: Path) -> str:
    if name := ablation_name(path):
        return _within(path.parent.parent, folder, name)
    return _within(path, folder, "")


def _within(path: Path, folder: Path, name: str) -> str:
    relative = path.relative_to(folder)
    return "/".join([*relative.parts, *([name] if name else [])]) or folder.resolve().name


def _with_job(status: RunStatus) -> RunStatus:
    """The status, updated by the ablation's job of the run: scoring in progress, or failed."""
    files = JobFiles.of(status.folder)
    if is_locked(files.lock):
        return replace(status, state="running")
    if status.state != "running" and files.failure.is_file():
        return replace(status, state="failed", problem=files.failure.read_text(encoding="utf-8").strip())
    return status


def _step(status: RunStatus) -> str:
    return f"{status.step}/{status.max_steps}" if status.max_steps else str(status.step or NONE)


def _dev(status: RunStatus) -> str:
    best = status.best
    return NONE if best is None else f"{_score(best.metric, best.value)} at {best.step}"


def _test(status: RunStatus) -> str:
    """The first score on test, or else of the evaluation with the shortest label, which is shown too."""
    label = "test" if "test" in status.scores else min(status.scores, key=len, default="")
    scores = status.scores.get(label)
    if not scores:
        return NONE
    return _score(*next(iter(scores.items()))) + ("" if label == "test" else f" on {label}")


def _score(metric: str, value: float) -> str:
    label = label_of(metric)
    return f"{label} {value:.3f}" if label == metric else f"{label} {value:.1f}"
