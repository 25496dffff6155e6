"""Gathers a report's data from run folders. Missing parts become notes on the page, not errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from aista.errors import AistaError, DataError
from aista.report.clips import read_clips
from aista.report.correlation import MIN_RUNS, Correlation, correlate
from aista.report.groups import group_table
from aista.report.report import Report, RunCurve, TrainingRun
from aista.report.report_options import ReportOptions
from aista.report.summary import summarise
from aista.report.tables import Table, label_of
from aista.report.task_groups import TASK_COLUMN, read_task_groups
from aista.report.test_set import MetricBuilder, headline_task, share_directions, split_of
from aista.report.utterances import browse
from aista.run_folder.assets import Assets
from aista.run_folder.contents import RunFolder
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.probes import Plan
from aista.run_folder.sources import differing_data
from aista.scoring.base import Metric
from aista.scoring.hypotheses import HypothesisRow, align

__all__ = ["gather", "manifest_of", "with_clips"]

T = TypeVar("T")


class _Notes:
    """Reads parts of run folders and records failures as notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def read(self, label: str, part: str, reader: Callable[[], T]) -> T | None:
        """Return the result of ``reader``, or None and a note."""
        try:
            return reader()
        except (AistaError, OSError, UnicodeDecodeError) as error:
            self.lines.append(f"{label}, {part}: {error}")
            return None

    def each(self, runs: Mapping[str, RunFolder], part: str, reader: Callable[[RunFolder], T | None]) -> dict[str, T]:
        """Label -> result of ``reader``, for the runs where it succeeds."""
        values = {label: self.read(label, part, partial(reader, run)) for label, run in runs.items()}
        return {label: value for label, value in values.items() if value is not None}


def gather(
    runs: Mapping[str, RunFolder],
    metrics: MetricBuilder | None,
    sentence_metric: Metric,
    options: ReportOptions,
    *,
    title: str,
) -> Report:
    """Gather all parts of the report except audio, which ``with_clips`` adds.

    Args:
        runs: Label -> run folder, the baseline first.
        metrics: Builds the metrics, the first of which decides difference, interval and p-value; None leaves out the
            comparison.
        sentence_metric: Scores single utterances.
        options: The split, the resampling, and the number of utterances shown.
        title: Headline of the page.
    """
    notes = _Notes()
    report = _scored(runs, metrics, sentence_metric, options, notes)
    curves, plans = list[RunCurve](), list[tuple[str, Plan]]()
    for label, run in runs.items():
        curves += notes.read(label, "probes", partial(_curves, label, run)) or []
        plans += [(label, plan) for plan in notes.read(label, "plans", run.plans) or ()]
    if not curves:
        notes.lines.append("retrieval: no run holds a probe; `aista probe RUN` makes one")
    selections = notes.each(runs, "selection", RunFolder.selection)
    return dataclasses.replace(
        report,
        title=title,
        curves=curves,
        selected=sorted({layer for selection in selections.values() for layer in selection.layers}),
        selections={
            label: f"layers {list(choice.layers)} by {choice.strategy} after {choice.step} steps: {choice.reason}"
            for label, choice in selections.items()
        },
        correlations=_correlations(runs, report, notes),
        training={label: _training(label, run, notes) for label, run in runs.items()},
        plans=plans,
        configs={label: runs[label].config_text() for label in notes.each(runs, "config", RunFolder.config)},
        data=notes.each(runs, "data", RunFolder.data_facts),
        environments=notes.each(runs, "environment", RunFolder.environment),
        missing=notes.lines,
    )


def _scored(
    runs: Mapping[str, RunFolder],
    metrics: MetricBuilder | None,
    sentence_metric: Metric,
    options: ReportOptions,
    notes: _Notes,
) -> Report:
    """Add the results of the evaluations to a report."""
    task = notes.read("headline", options.split, lambda: headline_task(next(iter(runs.values())), options.split)) or ""
    evaluations = notes.each(runs, "hypotheses", lambda run: _evaluation(run, split_of(run, options.split, task)))
    compared = _comparable(evaluations, options.direction, notes)
    warning = differing_data({label: evaluations[label].source for label in compared})
    if warning:
        notes.lines.append(f"comparison: {warning}")
    summary, browser, by_task = None, None, None
    if len(compared) > 1 and metrics:
        folders = {label: runs[label] for label in compared}
        summary = notes.read("comparison", options.split, lambda: summarise(folders, metrics, options))
        if summary is not None:
            found = summary.test_set
            notes.lines += found.notes
            by_task = notes.read("tasks", options.split, lambda: read_task_groups(folders, metrics, options, found))
            notes.lines += by_task.notes if by_task else ()
    if compared:
        rows, hypotheses = _aligned({label: evaluations[label] for label in compared}, options.direction)
        browser = browse(options.split, rows, hypotheses, sentence_metric, options.utterances)
    saved = {label: evaluation for label, evaluation in evaluations.items() if summary is None or label not in compared}
    return Report(
        title="",
        runs=list(runs),
        systems=summary.systems if summary else (),
        comparison=summary.comparisons[0] if summary else None,
        headline=summary.test_set.title if summary else "",
        by_task=group_table(by_task.rows, TASK_COLUMN) if by_task and by_task.rows else None,
        saved=_saved_scores(saved) if saved else None,
        signatures=summary.signatures if summary else {},
        sources={label: evaluation.source for label, evaluation in evaluations.items()},
        browser=browser,
    )


def with_clips(report: Report, runs: Mapping[str, RunFolder], *, max_clips: int, max_mib: float) -> Report:
    """Add audio to a report: first for utterances with plans, then for the largest gains and losses.

    Args:
        report: The result of ``gather``, with all plans.
        runs: The same run folders.
        max_clips: Maximum number of clips.
        max_mib: Maximum size of the MP3 in MiB.
    """
    drawn = list(dict.fromkeys(plan.id for _, plan in report.plans))
    ids = report.browser.extremes() if report.browser else []
    if not drawn and not ids:
        return report
    split = report.browser.split if report.browser else "test"
    try:
        manifest = manifest_of(next(iter(runs.values())), split)
        clips, problems = read_clips(manifest, ids, drawn, max_clips=max_clips, max_bytes=int(max_mib * 2**20))
    except AistaError as error:
        return dataclasses.replace(report, missing=[*report.missing, f"audio: {error}"])
    count = sum(bool(clip.audio) for clip in clips)
    size = sum(len(clip.audio) for clip in clips) * 3 / 4 / 2**20
    note = (
        f"{count} utterances have audio ({size:.1f} MiB of MP3 within this page); at most {max_clips} (--audio) and "
        f"{max_mib:g} MiB (--audio-mib) are embedded, first those with transport plans, then alternating the largest "
        "gains and losses."
    )
    few = problems[:3] + ([f"audio: {len(problems) - 3} more could not be read"] if len(problems) > 3 else [])
    return dataclasses.replace(report, clips=clips, audio_note=note, missing=[*report.missing, *few])


def manifest_of(run: RunFolder, split: str) -> Path:
    """The manifest that a run's split names.

    Raises:
        DataError: the config names none, or the file is gone.
    """
    data = run.config().get("data")
    named = data.get(split) if isinstance(data, dict) else None
    if run.is_evaluated(split):
        source = run.evaluation(split).source
        named = source.manifest or named or (None if source.split == split else source.split)
    path = Assets.load(run.paths).start / str(named) if named else None
    if path is None or not path.is_file():
        raise DataError(
            f"{run.path}: the manifest of its {split} set is not there ({path or 'the config names none'}); put it "
            f"back, or evaluate the manifest where it is now: `aista evaluate {run.path} --split FILE`"
        )
    return path


def _evaluation(run: RunFolder, split: str) -> Evaluation:
    evaluation = run.evaluation(split)
    if not evaluation.rows:
        raise DataError(f"{run.path}: the evaluation of {split} holds no utterance; evaluate again")
    return evaluation


def _aligned(evaluations: Mapping[str, Evaluation], direction: str) -> tuple[list[HypothesisRow], dict[str, list[str]]]:
    """The first run's utterances in the shared directions, and label -> hypotheses in their order."""
    shared, _, _ = share_directions(evaluations, direction)
    return align({label: evaluation.rows for label, evaluation in shared.items()})


def _comparable(evaluations: Mapping[str, Evaluation], direction: str, notes: _Notes) -> list[str]:
    """The first evaluated run, and the runs evaluated on the same utterances and references."""
    labels = list(evaluations)
    if not labels:
        return []
    first = labels[0]
    same = [first]
    for label in labels[1:]:
        pair = {name: evaluations[name] for name in (first, label)}
        if notes.read(label, "left out of comparison and browser", partial(_aligned, pair, direction)):
            same.append(label)
    return same


def _curves(label: str, run: RunFolder) -> list[RunCurve]:
    """The curve of the first layer selection, then every probe of the run; labels name run and probe."""
    first = next(iter(run.selections()), None)
    curves = []
    if first is not None and first.curve is not None:
        curves.append(RunCurve(f"{label}: before alignment (step {first.step})", label, first.curve, before=True))
    names = run.paths.probe_names()
    for name in names:
        curves.append(RunCurve(label if len(names) == 1 else f"{label}: {name}", label, run.probe(name).curve))
    return curves


def _training(label: str, run: RunFolder, notes: _Notes) -> TrainingRun:
    if not run.paths.is_complete:
        notes.lines.append(f"{label}: its training is not complete")
    train = notes.read(label, "training metrics", lambda: run.metrics("train"))
    valid = notes.read(label, "validation metrics", lambda: run.metrics("valid"))
    return TrainingRun(train or [], valid or [])


def _correlations(runs: Mapping[str, RunFolder], report: Report, notes: _Notes) -> list[Correlation]:
    if report.comparison is None or len(runs) < MIN_RUNS:
        return []
    latest = notes.each(runs, "latest probe", RunFolder.latest_probe)
    metric = report.comparison.metric
    scores = {system.name: system.scores[metric] for system in report.systems}
    correlations = correlate({label: probe.curve.values() for label, probe in latest.items()}, scores)
    if not correlations:
        notes.lines.append(
            f"correlation of MRR with {label_of(metric)}: it needs {MIN_RUNS} runs that are evaluated on the same "
            "utterances and probed at the same layer"
        )
    return correlations


def _saved_scores(evaluations: Mapping[str, Evaluation]) -> Table:
    rows = tuple(
        (label, label_of(score.name), f"{score.value:.1f}", score.signature)
        for label, evaluation in evaluations.items()
        for score in evaluation.scores
    )
    return Table("Scores as evaluated", ("Run", "Score", "Value", "Signature"), rows)
