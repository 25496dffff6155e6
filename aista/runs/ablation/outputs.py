"""What a sweep leaves: tables, figures, and whether better retrieval goes with better scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aista.files import write_text
from aista.report.correlation import correlate, correlation_table
from aista.report.figure import save_png
from aista.report.layer_forecast import forecast, forecast_table
from aista.report.plots import seed_differences
from aista.report.report_options import ComparisonOptions
from aista.report.scatter import retrieval_and_score
from aista.report.tables import Table, to_latex, to_markdown
from aista.runs.ablation.result_table import ablation_csv, ablation_table
from aista.runs.ablation.results import (
    AblationRow,
    Outcome,
    ablation_rows,
    early_probes,
    label,
    layer_scores,
    single_layer_gains,
)
from aista.runs.ablation.variants import AblationConfig
from aista.scoring.base import Metric
from aista.selection.curve import ProbeCurve

__all__ = ["write_outputs"]


def write_outputs(
    out: Path, outcomes: Sequence[Outcome], metrics: Sequence[Metric], baseline: str, config: AblationConfig
) -> tuple[Table, list[str]]:
    """Write everything but ``runs.json``.

    Args:
        out: Folder of the ablation.
        outcomes: Every run with every seed.
        metrics: The first decides significance, figure and correlation.
        baseline: Name of the run that the others are compared with.
        config: The ablation's file.

    Returns:
        The table, and the names of the files.
    """
    options = ComparisonOptions(split=config.label, samples=config.samples)
    rows = ablation_rows(outcomes, metrics, baseline, options, probe=config.probe_name)
    table, metric = ablation_table(rows, baseline), metrics[0].name
    failed = [outcome.failure for outcome in outcomes if outcome.error]
    write_text(out / "table.md", to_markdown(table) + "".join(f"\nFailed: {failure}\n" for failure in failed))
    write_text(out / "table.tex", to_latex(table))
    write_text(out / "table.csv", ablation_csv(rows))
    files = ["table.md", "table.tex", "table.csv"]
    compared = {row.name: row.comparisons[metric] for row in rows if metric in row.comparisons}
    if compared:
        save_png(seed_differences(compared, metric, baseline), out / "differences.png")
        files.append("differences.png")
    if config.probe:
        files += _correlation(out, rows, layer_scores(outcomes, config.probe_name), metric)
    if config.early_probe:
        files += _forecast(out, rows, early_probes(outcomes, baseline, config.early_probe_name), baseline, metric)
    return table, files


def _forecast(
    out: Path, rows: Sequence[AblationRow], probes: Mapping[int, ProbeCurve], baseline: str, metric: str
) -> list[str]:
    """Scores of the layers before alignment beside what each layer gains where it alone is aligned."""
    forecasts = forecast(probes, single_layer_gains(rows, baseline, metric))
    if not forecasts:
        return []
    write_text(out / "layer_scores.md", to_markdown(forecast_table(forecasts, metric)))
    return ["layer_scores.md"]


def _correlation(
    out: Path, rows: Sequence[AblationRow], mrr: Mapping[str, Mapping[int, Mapping[int, float]]], metric: str
) -> list[str]:
    """Over all runs, and over the means of the rows, which vary less with the seed."""
    values, scores, means, mean_scores = {}, {}, {}, {}
    for row in rows:
        by_seed = {seed: score for seed, score in row.scores[metric].items() if seed in mrr.get(row.name, {})}
        if not by_seed:
            continue
        for seed, score in by_seed.items():
            values[label(row.name, seed)], scores[label(row.name, seed)] = mrr[row.name][seed], score
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
