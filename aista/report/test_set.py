"""The test set on which runs are compared: the same utterances of one task, in the directions shared by all runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from aista.data.row_tasks import usual_task
from aista.errors import DataError
from aista.report.metric_inputs import evaluated_inputs
from aista.report.report_options import ComparisonOptions
from aista.run_folder.contents import RunFolder
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.paths import row_task_label, task_of
from aista.scoring.base import Metric
from aista.scoring.hypotheses import HypothesisRow, align, has_directions
from aista.scoring.utterance_inputs import UtteranceInputs

__all__ = [
    "MetricBuilder",
    "TestSet",
    "headline_task",
    "read_test_set",
    "share_directions",
    "some_rows",
    "split_of",
]

MetricBuilder = Callable[[str, Mapping[str, str]], Sequence[Metric]]
"""``(task of the rows, direction -> target language)`` -> metrics: ``build_direction_metrics`` of an experiment."""


@dataclass(frozen=True)
class TestSet:
    """Hypotheses of several runs, with references.

    Attributes:
        task: Task of the rows; empty where the runs have a single task.
        languages: Direction -> target language; a single one with an empty name where rows have one target language.
        evaluations: Label -> evaluation, with the utterances that are compared.
        rows: Utterances of the first.
        hypotheses: Label -> hypotheses in the order of ``rows``.
        metrics: The metrics of task and directions.
        inputs: Other inputs of the metrics, such as transcripts, in the order of ``rows``.
        notes: Rows left out, and runs compared by another task.
    """

    __test__ = False  # not a test class for pytest

    task: str
    languages: Mapping[str, str]
    evaluations: Mapping[str, Evaluation]
    rows: tuple[HypothesisRow, ...]
    hypotheses: Mapping[str, Sequence[str]]
    metrics: Sequence[Metric]
    inputs: UtteranceInputs
    notes: tuple[str, ...]

    @property
    def references(self) -> list[str]:
        """References in the order of ``rows``."""
        return [row.reference for row in self.rows]

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions; empty where there is one target language."""
        return tuple(name for name in self.languages if name)

    @property
    def title(self) -> str:
        """Task and directions in words; empty where there is only one."""
        over = "macro average over " if len(self.directions) > 1 else ""
        return ", ".join(filter(None, (self.task, f"{over}{', '.join(self.directions)}")))


def read_test_set(
    runs: Mapping[str, RunFolder],
    metrics: MetricBuilder,
    options: ComparisonOptions,
    *,
    splits: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    task: str = "",
) -> TestSet:
    """Read the evaluations of runs, the baseline first.

    Args:
        runs: Label -> run folder.
        metrics: Builds the metrics.
        options: The split, and a single direction if wanted.
        splits: Label -> exactly this evaluation of a run.
        only: Ids of the utterances to use; unknown ids are ignored. None uses all.
        task: Task of the rows; empty: that of ``headline_task``.

    Raises:
        RunError: a run was not evaluated on the split for the task (names the command).
        DataError: the runs share no direction, or were evaluated on different utterances or references in shared
            directions, or on none of ``only``, or an utterance lacks an input of a metric.
    """
    chosen = task or headline_task(next(iter(runs.values())), options.split)
    named = splits or {}
    evaluations = {
        label: run.evaluation(named.get(label) or split_of(run, options.split, chosen)) for label, run in runs.items()
    }
    others = {label: usual_task(run.row_tasks()) for label, run in runs.items() if chosen not in run.row_tasks()}
    evaluations, languages, left_out = share_directions(evaluations, options.direction)
    evaluations = {label: replace(each, rows=tuple(some_rows(each.rows, only))) for label, each in evaluations.items()}
    rows, hypotheses = align({label: each.rows for label, each in evaluations.items()})
    built = metrics(chosen, languages)
    inputs = evaluated_inputs(evaluations, [row.id for row in rows], built)
    notes = [f"{label}: compared by its task {other}" for label, other in others.items() if chosen and other]
    return TestSet(chosen, languages, evaluations, tuple(rows), hypotheses, built, inputs, (*notes, *left_out))


def headline_task(baseline: RunFolder, split: str) -> str:
    """The task to compare: the one in the split's label, or the baseline's default; empty for a single task."""
    return task_of(split) or usual_task(baseline.row_tasks())


def split_of(run: RunFolder, split: str, task: str) -> str:
    """The label of a run's results on a split for a task, or for its default task where it lacks this one."""
    tasks = run.row_tasks()
    if not tasks:
        return split
    return row_task_label(run.paths.evaluated_label(split), task, tasks)


def share_directions(
    evaluations: Mapping[str, Evaluation], direction: str = ""
) -> tuple[dict[str, Evaluation], dict[str, str], tuple[str, ...]]:
    """Leave out directions that some run lacks; no effect where all rows have one target language.

    Args:
        evaluations: Label -> evaluation.
        direction: The only direction to keep; empty for all.

    Returns:
        The evaluations, direction -> target language, and notes on what was left out.

    Raises:
        DataError: no direction is left, or hypotheses lack their languages.
    """
    of_all = [row for each in evaluations.values() for row in each.rows]
    known = {label: Counter(row.direction for row in each.rows) for label, each in evaluations.items()}
    if not direction and not has_directions(row.tgt_lang for row in of_all):
        old = [label for label, each in evaluations.items() if each.directions]
        if old:
            raise DataError(
                f"{old[0]}: its hypotheses do not say their languages; evaluate {evaluations[old[0]].label} again"
            )
        return dict(evaluations), {"": next((row.tgt_lang for row in of_all if row.tgt_lang), "")}, ()
    shared = set.intersection(*(set(counts) for counts in known.values()))
    kept = shared & {direction} if direction else shared
    if not kept:
        has = "; ".join(f"{label} has {', '.join(sorted(counts))}" for label, counts in known.items())
        what = (
            f"the direction {direction!r} is not one that all runs share"
            if direction
            else "the runs share no direction"
        )
        raise DataError(f"{what}: {has}; name runs that were evaluated on it, or another direction")
    rest = {
        label: ", ".join(f"{name} ({counts[name]} utterances)" for name in sorted(set(counts) - shared))
        for label, counts in known.items()
    }
    notes = tuple(f"{label}: left out, as not all runs have it: {left}" for label, left in rest.items() if left)
    languages = {row.direction: row.tgt_lang for row in of_all if row.direction in kept}
    restricted = {
        label: replace(each, rows=tuple(row for row in each.rows if row.direction in kept))
        for label, each in evaluations.items()
    }
    return restricted, dict(sorted(languages.items())), notes


def some_rows(rows: Sequence[HypothesisRow], only: Collection[str] | None) -> list[HypothesisRow]:
    """The rows with these ids, in their order.

    Raises:
        DataError: there are none.
    """
    kept = [row for row in rows if only is None or row.id in only]
    if not kept:
        given, known = min(only or [""]), rows[0].id if rows else ""
        raise DataError(
            f"the subset has none of the evaluated utterances, got ids such as {given!r}; name ids of the split that "
            f"is compared, such as {known!r}"
        )
    return kept
