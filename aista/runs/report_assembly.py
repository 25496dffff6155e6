"""Assembles a report from run folders and the transport plans of their checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from aista import registry
from aista.engine.inference.trained_run import find_device
from aista.engine.inference.transport_plans import transport_plans
from aista.errors import AistaError, DataError
from aista.report.gather import gather, manifest_of, with_clips
from aista.report.report import Corpus, Report
from aista.report.report_options import ReportOptions
from aista.report.test_set import MetricBuilder
from aista.run_folder.contents import RunFolder
from aista.run_folder.paths import RunPaths, runs_below
from aista.run_folder.probes import Plan
from aista.run_folder.run_names import RunNames
from aista.schema import Component
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_direction_metrics

__all__ = ["labelled", "make_report"]


def labelled(paths: Sequence[Path]) -> dict[str, RunFolder]:
    """Label -> run folder; labels are those of ``RunNames``.

    Raises:
        DataError: a path is not a run folder (names the run folders inside it), or is given twice.
    """
    absolute = [path.resolve() for path in paths]
    for path, full in zip(paths, absolute, strict=True):
        if absolute.count(full) > 1:
            raise DataError(f"{path}: this run folder is given twice; name each once")
        if not RunPaths(full).is_run:
            inside = [link for link in sorted(path.glob("seed_*/*")) if RunPaths(link).is_run] or runs_below(path)
            hint = f"it holds {', '.join(map(str, inside[:6]))}: name those" if inside else "`aista train` makes one"
            raise DataError(f"{path}: not a run folder (no {RunPaths(path).config_file.name}); {hint}")
    names = RunNames.of(list(map(str, absolute))).names
    return {name: RunFolder(path) for name, path in zip(names, paths, strict=True)}


def make_report(
    runs: Mapping[str, RunFolder],
    options: ReportOptions,
    *,
    title: str,
    command: str = "",
    corpus: Corpus | None = None,
) -> Report:
    """Make a report of run folders, with transport plans of their checkpoints and the utterances' audio."""
    find_device(options.device)  # a wrong device is an error; other problems of plans become notes
    metrics, notes = _metrics(next(iter(runs.values())))
    chrf = registry.build("metric", Component("chrf"))
    report = gather(runs, metrics, chrf, options, title=title)
    plans, problems = _plans(runs, report, options)
    seen = {(label, plan.id) for label, plan in plans}
    plans += [(label, plan) for label, plan in report.plans if (label, plan.id) not in seen]
    missing = [*notes, *report.missing, *problems]
    report = replace(report, plans=plans, missing=missing, command=command, corpus=corpus)
    return with_clips(report, runs, max_clips=options.audio, max_mib=options.audio_mib)


def _metrics(baseline: RunFolder) -> tuple[MetricBuilder | None, list[str]]:
    try:
        experiment = load_experiment(baseline.paths.config_file)
        build_direction_metrics(experiment, "", {"": ""})
        return partial(build_direction_metrics, experiment), []
    except (AistaError, ValueError) as error:
        return None, [f"comparison: the metrics of {baseline.path} cannot be built ({error}); saved scores are shown"]


def _plans(
    runs: Mapping[str, RunFolder], report: Report, options: ReportOptions
) -> tuple[list[tuple[str, Plan]], list[str]]:
    """Plans of the utterances with the largest score differences, from every run that has a checkpoint."""
    if report.browser is None or not options.plans:
        return [], []
    transcribed = {item.id for item in report.browser.utterances if item.transcript}
    ids = [id for id in report.browser.extremes() if id in transcribed][: options.plans]
    if not ids:
        return [], [f"transport plans: no utterance of the {options.split} set has a transcript"]
    plans, problems = list[tuple[str, Plan]](), list[str]()
    for label, run in runs.items():
        try:
            split = str(manifest_of(run, options.split))
            of_run = transport_plans(run.path, split, ids, which=options.checkpoint, device=options.device)
        except AistaError as error:
            problems.append(f"{label}, transport plans: they need the checkpoint and the audio: {error}")
            continue
        plans += [(label, plan) for plan in of_run]
    return plans, problems
