"""Comparison of runs, as ``aista compare`` prints it and the report shows it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from aista.errors import RunError
from aista.report.report_options import ComparisonOptions
from aista.report.tables import SystemRow
from aista.report.test_set import MetricBuilder, TestSet, read_test_set
from aista.report.text_scores import compare_texts, system_row
from aista.run_folder.contents import RunFolder
from aista.run_folder.parsing import parsing
from aista.run_folder.sources import Source
from aista.scoring.base import Metric
from aista.scoring.hypotheses import HypothesisRow
from aista.scoring.significance import Comparison
from aista.scoring.utterance_inputs import UtteranceInputs

__all__ = ["Summary", "summarise", "summarise_one"]


@dataclass(frozen=True)
class Summary:
    """Results of several runs on one test set.

    Attributes:
        systems: Rows of the headline table, the baseline first.
        comparisons: One per metric, in the order of the metrics; empty for a single run.
        test_set: The scored test set.
    """

    systems: tuple[SystemRow, ...]
    comparisons: tuple[Comparison, ...]
    test_set: TestSet

    @property
    def rows(self) -> tuple[HypothesisRow, ...]:
        """The baseline's utterances."""
        return self.test_set.rows

    @property
    def references(self) -> list[str]:
        """References in the order of ``rows``."""
        return self.test_set.references

    @property
    def hypotheses(self) -> Mapping[str, Sequence[str]]:
        """Label -> hypotheses in the order of ``rows``."""
        return self.test_set.hypotheses

    @property
    def metrics(self) -> Sequence[Metric]:
        """The metrics; the first gives difference, interval and p-value of the headline."""
        return self.test_set.metrics

    @property
    def inputs(self) -> UtteranceInputs:
        """Other inputs of the metrics, such as transcripts, in the order of ``rows``."""
        return self.test_set.inputs

    @property
    def sources(self) -> dict[str, Source]:
        """Label -> checkpoint and manifest that its hypotheses are from."""
        return {label: evaluation.source for label, evaluation in self.test_set.evaluations.items()}

    @property
    def signatures(self) -> dict[str, str]:
        """Metric name -> signature, with bootstrap samples and seed where runs were compared."""
        compared = {comparison.metric: comparison.signature for comparison in self.comparisons}
        return {metric.name: metric.signature for metric in self.metrics} | compared


def summarise(
    runs: Mapping[str, RunFolder],
    metrics: MetricBuilder,
    options: ComparisonOptions,
    *,
    splits: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
) -> Summary:
    """Score the saved hypotheses of several runs and test each against the first.

    Args:
        runs: Label -> run folder, the baseline first; at least two.
        metrics: Builds the metrics, of which the first one decides difference, interval and p-value of the headline.
        options: Split, direction and resampling.
        splits: Label -> the evaluation of a run, where it is not that of ``options``.
        only: Ids of the utterances to use; unknown ids are ignored. None uses all.

    Raises:
        RunError: fewer than two runs, or one was not evaluated on the split (names the command).
        DataError: as ``read_test_set``.
    """
    if len(runs) < 2:
        raise RunError(
            f"a comparison needs at least two different runs, got {', '.join(runs) or 'none'}; name another run, or "
            "RUN@LABEL for another evaluation"
        )
    found = read_test_set(runs, metrics, options, splits=splits, only=only)
    if not found.metrics:
        raise ValueError("summarise needs at least one metric")
    comparisons = compare_texts(found.hypotheses, found.references, found.metrics, options, found.inputs)
    systems = tuple(_of_run(system_row(label, comparisons), run) for label, run in runs.items())
    return Summary(systems, comparisons, found)


def summarise_one(
    label: str,
    run: RunFolder,
    metrics: MetricBuilder,
    options: ComparisonOptions,
    *,
    splits: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
) -> Summary:
    """Score the saved hypotheses of one run, without a comparison; see ``summarise``."""
    found = read_test_set({label: run}, metrics, options, splits=splits, only=only)
    scores = {
        metric.name: metric.score(found.hypotheses[label], found.references, found.inputs).value
        for metric in found.metrics
    }
    return Summary((_of_run(SystemRow(name=label, scores=scores), run),), (), found)


def _of_run(row: SystemRow, run: RunFolder) -> SystemRow:
    """The row with the run's training time and layers."""
    selection = run.selection()
    timing = run.timing() if run.paths.timing_file.is_file() else {}
    with parsing(run.paths.timing_file):
        seconds = None if timing.get("train_seconds") is None else float(timing["train_seconds"])
    return replace(row, seconds=seconds, layers=() if selection is None else selection.layers)
