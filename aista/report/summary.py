"""From run folders to what `aista compare` prints and the report shows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from aista.errors import DataError, RunError
from aista.report.metric_inputs import evaluated_inputs
from aista.report.report_options import ComparisonOptions
from aista.report.tables import SystemRow
from aista.report.text_scores import compare_texts, system_row
from aista.run_folder.contents import RunFolder
from aista.run_folder.parsing import parsing
from aista.run_folder.sources import Source
from aista.scoring.base import Metric
from aista.scoring.hypotheses import HypothesisRow, align
from aista.scoring.significance import Comparison
from aista.scoring.utterance_inputs import UtteranceInputs

__all__ = ["Summary", "some_rows", "summarise", "summarise_one"]


@dataclass(frozen=True)
class Summary:
    """Several runs on one test set.

    Attributes:
        systems: Rows of the headline table, the baseline first.
        comparisons: One per metric, in the order of the metrics.
        rows: The baseline's utterances.
        hypotheses: Label -> hypotheses in the order of ``rows``.
        sources: Label -> checkpoint and manifest that they are from.
        inputs: What the metrics need of the utterances beside texts, in the order of ``rows``.
    """

    systems: tuple[SystemRow, ...]
    comparisons: tuple[Comparison, ...]
    rows: tuple[HypothesisRow, ...]
    hypotheses: Mapping[str, Sequence[str]]
    sources: Mapping[str, Source]
    inputs: UtteranceInputs

    @property
    def signatures(self) -> dict[str, str]:
        """Metric name -> signature with bootstrap samples and seed."""
        return {comparison.metric: comparison.signature for comparison in self.comparisons}


def summarise(
    runs: Mapping[str, RunFolder],
    metrics: Sequence[Metric],
    options: ComparisonOptions,
    *,
    splits: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
) -> Summary:
    """Score the saved hypotheses of several runs and test each against the first.

    Args:
        runs: Label -> run folder, the baseline first; at least two.
        metrics: The first one decides difference, interval and p-value of the headline.
        options: The split, and how it is resampled.
        splits: Label -> split of the runs whose split is another one.
        only: Ids of the utterances that count; others of them are ignored. None takes all.

    Raises:
        RunError: fewer than two runs, or one was not evaluated on the split (names the command).
        DataError: the runs were evaluated on other utterances or references, or on none of ``only``, or an utterance
            lacks what a metric needs.
    """
    if len(runs) < 2:
        raise RunError(
            f"a comparison needs at least two different runs, got {', '.join(runs) or 'none'}; name another run, or "
            "RUN@LABEL for another evaluation"
        )
    if not metrics:
        raise ValueError("summarise needs at least one metric")
    evaluations = {label: run.evaluation((splits or {}).get(label, options.split)) for label, run in runs.items()}
    rows, hypotheses = align({label: some_rows(each.rows, only) for label, each in evaluations.items()})
    references = [row.reference for row in rows]
    inputs = evaluated_inputs(evaluations, [row.id for row in rows], metrics)
    comparisons = compare_texts(hypotheses, references, metrics, options, inputs)
    systems = tuple(_of_run(system_row(label, comparisons), run) for label, run in runs.items())
    sources = {label: evaluation.source for label, evaluation in evaluations.items()}
    return Summary(systems, comparisons, tuple(rows), hypotheses, sources, inputs)


def summarise_one(
    label: str, run: RunFolder, metrics: Sequence[Metric], split: str, *, only: Collection[str] | None = None
) -> Summary:
    """Score the saved hypotheses of one run, without a comparison; see ``summarise``."""
    evaluation = run.evaluation(split)
    rows = some_rows(evaluation.rows, only)
    hypotheses, references = [row.hypothesis for row in rows], [row.reference for row in rows]
    inputs = evaluated_inputs({label: evaluation}, [row.id for row in rows], metrics)
    scores = {metric.name: metric.score(hypotheses, references, inputs).value for metric in metrics}
    system = _of_run(SystemRow(name=label, scores=scores), run)
    return Summary((system,), (), tuple(rows), {label: hypotheses}, {label: evaluation.source}, inputs)


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


def _of_run(row: SystemRow, run: RunFolder) -> SystemRow:
    """With the run's training time and layers."""
    selection = run.selection()
    timing = run.timing() if run.paths.timing_file.is_file() else {}
    with parsing(run.paths.timing_file):
        seconds = None if timing.get("train_seconds") is None else float(timing["train_seconds"])
    return replace(row, seconds=seconds, layers=() if selection is None else selection.layers)
