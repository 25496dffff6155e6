"""Outputs of a sweep: tables, figures, and the correlation of retrieval with scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aista.files import write_text
from aista.report.correlation import correlate, correlation_table
from aista.report.figure import save_png
from aista.report.layer_forecast import forecast, forecast_table
from aista.report.plots import seed_differences
from aista.report.report_options import ComparisonOptions
from aista.report.scatter import retrieval_and_score
from aista.report.tables import Table, to_latex, to_markdown
from aista.report.test_set import MetricBuilder
from aista.run_folder.run_names import ablation_run_label
from aista.runs.ablation.plan import Ablation
from aista.runs.ablation.result_table import ablation_csv, ablation_table
from aista.runs.ablation.results import (
    AblationRow,
    Outcome,
    ablation_rows,
    early_probes,
    layer_scores,
    read_outcomes,
    single_layer_gains,
)
from aista.selection.curve import ProbeCurve

__all__ = ["write_outputs"]


def write_outputs(
    out: Path, outcomes: Sequence[Outcome], metrics: MetricBuilder, ablation: Ablation
) -> tuple[Table, list[str]]:
    """Write all outputs except the index of the runs.

    Args:
        out: Folder of the ablation.
        outcomes: Every run with every seed.
        metrics: Builds the metrics; the first is used for significance, figure and correlation.
        ablation: The ablation file.

    Returns:
        The table, and the names of the written files.
    """
    config, baseline, task = ablation.config, ablation.baseline, ablation.tasks[0]
    options = ComparisonOptions(split=config.label, samples=config.samples, direction=config.direction)
    found = read_outcomes(outcomes, metrics, options, task)
    rows = ablation_rows(outcomes, metrics, baseline, options, probe=config.probe_name, task=task)
    table, metric = ablation_table(rows, baseline, found.title if found else ""), next(iter(rows[0].scores))
    lines = [f"Compared: {found.title}."] if found and found.title else []
    lines += found.notes if found else ()
    lines += [f"Failed: {outcome.failure}" for outcome in outcomes if outcome.error]
    write_text(out / "table.md", to_markdown(table) + "".join(f"\n{line}\n" for line in lines))
    write_text(out / "table.tex", to_latex(table))
    write_text(out / "table.csv", ablation_csv(rows))
    files = ["table.md", "table.tex", "table.csv", *_by_task(out, outcomes, metrics, ablation)]
    compared = {row.name: row.comparisons[metric] for row in rows if metric in row.comparisons}
    if compared:
        save_png(seed_differences(compared, metric, baseline), out / "differences.png")
        files.append("differences.png")
    if config.probe:
        files += _correlation(out, rows, layer_scores(outcomes, config.probe_name), metric)
    if config.early_probe:
        files += _forecast(out, rows, early_probes(outcomes, baseline, config.early_probe_name), baseline, metric)
    return table, files


def _by_task(out: Path, outcomes: Sequence[Outcome], metrics: MetricBuilder, ablation: Ablation) -> list[str]:
    """Write a table for each task and direction, if there are several."""
    options = ComparisonOptions(split=ablation.config.label, samples=ablation.config.samples)
    parts = list[tuple[str, ComparisonOptions, str]]()
    for task in ablation.tasks:
        found = read_outcomes(outcomes, metrics, options, task)
        several = found.directions if found and len(found.directions) > 1 else ("",)
        parts += [(task, replace(options, direction=name), f"{task} {name}".strip()) for name in several]
    if len(parts) < 2:
        return []
    text = ""
    for task, of_part, title in parts:
        rows = ablation_rows(outcomes, metrics, ablation.baseline, of_part, task=task)
        text += f"## {title}\n\n{to_markdown(ablation_table(rows, ablation.baseline))}\n"
    write_text(out / "directions.md", text)
    return ["directions.md"]


def _forecast(
    out: Path, rows: Sequence[AblationRow], probes: Mapping[int, ProbeCurve], baseline: str, metric: str
) -> list[str]:
    """Write the scores of layers before alignment beside the gains of runs that align a single layer."""
    forecasts = forecast(probes, single_layer_gains(rows, baseline, metric))
    if not forecasts:
        return []
    write_text(out / "layer_scores.md", to_markdown(forecast_table(forecasts, metric)))
    return ["layer_scores.md"]


def _correlation(
    out: Path, rows: Sequence[AblationRow], mrr: Mapping[str, Mapping[int, Mapping[int, float]]], metric: str
) -> list[str]:
    """Write correlations over all runs, and over the means of the rows, which vary less with the seed."""
    values, scores, means, mean_scores = {}, {}, {}, {}
    for row in rows:
        by_seed = {seed: score for seed, score in row.scores[metric].items() if seed in mrr.get(row.name, {})}
        if not by_seed:
            continue
        for seed, score in by_seed.items():
            run = ablation_run_label(row.name, seed)
            values[run], scores[run] = mrr[row.name][seed], score
        curves = [mrr[row.name][seed] for seed in by_seed]
        means[row.name] = {layer: sum(curve[layer] for curve in curves) / len(curves) for layer in curves[0]}
        mean_scores[row.name] = sum(by_seed.values()) / len(by_seed)
    runs, over_rows = correlate(values, scores), correlate(means, mean_scores)
    text = "".join(
        f"{title}\n\n{to_markdown(correlation_table(correlations, metric))}\n"
        for title, correlations in (("Over all runs:", runs), ("Over the means of the rows:", over_rows))
        if correlations
    )
    if not text:
        return []
    write_text(out / "correlation.md", text)
    save_png(retrieval_and_score(runs, metric), out / "correlation.png")
    return ["correlation.md", "correlation.png"]
