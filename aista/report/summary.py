"""From run folders to what `aista compare` prints and the report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aista.errors import RunError
from aista.report.report_options import ComparisonOptions
from aista.report.tables import SystemRow
from aista.run_folder.contents import RunFolder
from aista.run_folder.parsing import parsing
from aista.run_folder.sources import Source
from aista.scoring.base import Metric
from aista.scoring.hypotheses import HypothesisRow, align
from aista.scoring.significance import Comparison, paired_bootstrap

__all__ = ["Summary", "summarise"]


@dataclass(frozen=True)
class Summary:
    """Several runs on one test set.

    Attributes:
        systems: Rows of the headline table, the baseline first.
        comparisons: One per metric, in the order of the metrics.
        rows: The baseline's utterances.
        hypotheses: Label -> hypotheses in the order of ``rows``.
        sources: Label -> checkpoint and manifest that they are from.
    """

    systems: tuple[SystemRow, ...]
    comparisons: tuple[Comparison, ...]
    rows: tuple[HypothesisRow, ...]
    hypotheses: Mapping[str, Sequence[str]]
    sources: Mapping[str, Source]

    @property
    def signatures(self) -> dict[str, str]:
        """Metric name -> signature with bootstrap samples and seed."""
        return {comparison.metric: comparison.signature for comparison in self.comparisons}


def summarise(
    runs: Mapping[str, RunFolder],
    metrics: Sequence[Metric],
    options: ComparisonOptions,
) -> Summary:
    """Score the saved hypotheses of several runs and test each against the first.

    Args:
        runs: Label -> run folder, the baseline first; at least two.
        metrics: The first one decides difference, interval and p-value of the headline.
        options: The split, and how it is resampled.

    Raises:
        RunError: fewer than two runs, or one was not evaluated on the split (names the command).
        DataError: the runs were evaluated on other utterances or references.
    """
    if len(runs) < 2:
        raise RunError(f"a comparison needs at least two runs, got {', '.join(runs) or 'none'}")
    if not metrics:
        raise ValueError("summarise needs at least one metric")
    evaluations = {label: run.evaluation(options.split) for label, run in runs.items()}
    rows, hypotheses = align({label: evaluation.rows for label, evaluation in evaluations.items()})
    references = [row.reference for row in rows]
    first, *others = runs
    comparisons = tuple(
        paired_bootstrap(
            (first, hypotheses[first]),
            {label: hypotheses[label] for label in others},
            references,
            metric,
            samples=options.samples,
            seed=options.seed,
        )
        for metric in metrics
    )
    systems = tuple(_row(label, run, comparisons, label == first) for label, run in runs.items())
    sources = {label: evaluation.source for label, evaluation in evaluations.items()}
    return Summary(systems, comparisons, tuple(rows), hypotheses, sources)


def _row(label: str, run: RunFolder, comparisons: Sequence[Comparison], is_baseline: bool) -> SystemRow:
    result = comparisons[0].system(label)
    selection = run.selection()
    timing = run.timing() if run.paths.timing_file.is_file() else {}
    with parsing(run.paths.timing_file):
        seconds = None if timing.get("train_seconds") is None else float(timing["train_seconds"])
    return SystemRow(
        name=label,
        scores={comparison.metric: comparison.system(label).score for comparison in comparisons},
        difference=None if is_baseline else result.difference,
        interval=None if is_baseline else result.difference_interval,
        p_value=result.p_value,
        seconds=seconds,
        layers=() if selection is None else selection.layers,
    )
