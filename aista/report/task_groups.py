"""Scores of runs by task and direction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from aista.report.groups import GroupRow, corrected, group_rows
from aista.report.report_options import ComparisonOptions
from aista.report.test_set import MetricBuilder, TestSet, read_test_set, split_of
from aista.run_folder.contents import RunFolder

__all__ = ["TASK_COLUMN", "TaskGroups", "read_task_groups"]

TASK_COLUMN = "task and direction"


@dataclass(frozen=True)
class TaskGroups:
    """A row per task, direction and run; empty if there is only one task and direction. ``notes``: runs left out."""

    rows: tuple[GroupRow, ...] = ()
    notes: tuple[str, ...] = ()


def read_task_groups(
    runs: Mapping[str, RunFolder],
    metrics: MetricBuilder,
    options: ComparisonOptions,
    headline: TestSet,
    *,
    splits: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
) -> TaskGroups:
    """Score every run in each direction of each evaluated task, and compare it with the first run.

    Holm's correction is over all tasks, directions and runs.

    Args:
        runs: Label -> run folder, the baseline first.
        metrics: Builds the metrics.
        options: The split and the resampling; ``direction`` is ignored.
        headline: The test set of the headline, whose task comes first.
        splits: Label -> exactly this evaluation of a run; then no other task is read.
        only: Ids of the utterances to use.

    Raises:
        AistaError: as ``read_test_set``.
    """
    options, notes = replace(options, direction=""), list[str]()
    others = [] if splits else [task for task in next(iter(runs.values())).row_tasks() if task != headline.task]
    rows = list[GroupRow]()
    for task in (headline.task, *others):
        missing = [label for label, run in runs.items() if not _is_evaluated(run, options.split, task)]
        if task != headline.task and missing:
            if len(missing) < len(runs):
                notes.append(f"{task}: left out, as it was not evaluated (--task {task}) for {', '.join(missing)}")
            continue
        found = read_test_set(runs, metrics, options, splits=splits, only=only, task=task)
        rows += _rows(found, options)
        if task != headline.task:
            notes += [f"{task}: {note}" for note in found.notes]
    rows = corrected(rows)
    return TaskGroups(tuple(rows) if len({row.group for row in rows}) > 1 else (), tuple(notes))


def _is_evaluated(run: RunFolder, split: str, task: str) -> bool:
    return task in run.row_tasks() and run.is_evaluated(split_of(run, split, task))


def _rows(found: TestSet, options: ComparisonOptions) -> list[GroupRow]:
    several = len(found.directions) > 1
    groups = [" ".join(filter(None, (found.task, row.direction if several else ""))) for row in found.rows]
    return group_rows(found.hypotheses, found.references, groups, found.metrics, options, found.inputs)
