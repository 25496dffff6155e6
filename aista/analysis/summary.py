"""From run folders to what `aista compare` prints and the report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aista.analysis.plots import TrainingRun
from aista.analysis.report import Corpus, Report, Sample
from aista.analysis.run_folder import RunFolder
from aista.analysis.tables import SystemRow
from aista.errors import RunError
from aista.scoring.base import Metric
from aista.scoring.hypotheses import HypothesisRow, align
from aista.scoring.significance import Comparison, paired_bootstrap
from aista.selection.curve import ProbeCurve

__all__ = ["Summary", "report_of_runs", "summarise"]


@dataclass(frozen=True)
class Summary:
    """Several runs on one test set.

    Attributes:
        split: The evaluated split.
        systems: Rows of the headline table, the baseline first.
        comparisons: One per metric, in the order of the metrics.
        rows: The baseline's utterances.
        hypotheses: Label -> hypotheses in the order of ``rows``.
    """

    split: str
    systems: tuple[SystemRow, ...]
    comparisons: tuple[Comparison, ...]
    rows: tuple[HypothesisRow, ...]
    hypotheses: Mapping[str, Sequence[str]]

    @property
    def signatures(self) -> dict[str, str]:
        """Metric name -> signature with bootstrap samples and seed."""
        return {comparison.metric: comparison.signature for comparison in self.comparisons}


def summarise(
    runs: Mapping[str, RunFolder],
    metrics: Sequence[Metric],
    *,
    split: str = "test",
    samples: int = 1000,
    seed: int = 12345,
) -> Summary:
    """Score the saved hypotheses of several runs and test each against the first.

    Args:
        runs: Label -> run folder, the baseline first; at least two.
        metrics: The first one decides difference, interval and p-value of the headline.
        split: The evaluated split.
        samples: Bootstrap samples.
        seed: Seed of the resampling.

    Raises:
        RunError: fewer than two runs, or one was not evaluated on the split (names the command).
        DataError: the runs were evaluated on other utterances or references.
    """
    if len(runs) < 2:
        raise RunError(f"a comparison needs at least two runs, got {', '.join(runs) or 'none'}")
    if not metrics:
        raise ValueError("summarise needs at least one metric")
    rows, hypotheses = align({label: run.evaluation(split).rows for label, run in runs.items()})
    references = [row.reference for row in rows]
    first, *others = runs
    comparisons = tuple(
        paired_bootstrap(
            (first, hypotheses[first]),
            {label: hypotheses[label] for label in others},
            references,
            metric,
            samples=samples,
            seed=seed,
        )
        for metric in metrics
    )
    systems = tuple(_row(label, run, comparisons, label == first) for label, run in runs.items())
    return Summary(split, systems, comparisons, tuple(rows), hypotheses)


def _row(label: str, run: RunFolder, comparisons: Sequence[Comparison], is_baseline: bool) -> SystemRow:
    result = comparisons[0].system(label)
    selection = run.selection()
    seconds = run.timing().get("train_seconds")
    return SystemRow(
        name=label,
        scores={comparison.metric: comparison.system(label).score for comparison in comparisons},
        difference=None if is_baseline else result.difference,
        interval=None if is_baseline else result.difference_interval,
        p_value=result.p_value,
        seconds=None if seconds is None else float(seconds),
        layers=() if selection is None else selection.layers,
    )


def report_of_runs(
    runs: Mapping[str, RunFolder],
    summary: Summary,
    *,
    title: str,
    corpus: Corpus,
    command: str = "",
    curves: Mapping[str, ProbeCurve] | None = None,
    num_samples: int = 6,
) -> Report:
    """Gather everything that the run folders hold into a report.

    Args:
        runs: Label -> run folder, as given to ``summarise``.
        summary: Its result.
        title: Headline of the page.
        corpus: What the data are.
        command: The command that makes the report again.
        curves: Label -> curve; None takes every probe of every run, and what layer selection saw.
        num_samples: Sample translations, evenly spaced over the test set.
    """
    selections = [selection for run in runs.values() if (selection := run.selection()) is not None]
    chosen = selections[-1] if selections else None
    step = max(1, len(summary.rows) // max(1, num_samples))
    picked = range(0, len(summary.rows), step)[:num_samples]
    return Report(
        title=title,
        corpus=corpus,
        command=command,
        systems=summary.systems,
        comparison=summary.comparisons[0],
        curves=curves_of_runs(runs) if curves is None else curves,
        selected=chosen.layers if chosen else (),
        selection_reason=f"{chosen.strategy}, step {chosen.step}: {chosen.reason}" if chosen else "",
        training={label: TrainingRun(run.metrics("train"), run.metrics("valid")) for label, run in runs.items()},
        plans=[run.plan(name) for run in runs.values() for name in run.plan_names()],
        samples=[_sample(summary, index) for index in picked],
        sample_rule=f"One utterance in {step} of the {summary.split} set, not picked by quality."
        if step > 1
        else f"The first utterances of the {summary.split} set.",
        signatures=summary.signatures,
        configs={label: run.config_text() for label, run in runs.items()},
        environment=next(iter(runs.values())).environment(),
    )


def curves_of_runs(runs: Mapping[str, RunFolder]) -> dict[str, ProbeCurve]:
    """Every probe of every run, and first what the first layer selection saw; labels name run and probe."""
    curves: dict[str, ProbeCurve] = {}
    for label, run in runs.items():
        first = next(iter(run.selections()), None)
        if first is not None and first.curve is not None:
            curves[f"{label}: before alignment (step {first.step})"] = first.curve
        names = run.probe_names()
        for name in names:
            curves[label if len(names) == 1 else f"{label}: {name}"] = run.probe(name).curve
    return curves


def _sample(summary: Summary, index: int) -> Sample:
    row = summary.rows[index]
    hypotheses = {label: texts[index] for label, texts in summary.hypotheses.items()}
    return Sample(row.id, row.src_text, row.reference, hypotheses)
