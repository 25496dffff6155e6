"""The table of an ablation: means over seeds, differences from a baseline, corrected significance, cost."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aista.analysis.run_folder import RunFolder
from aista.analysis.tables import NONE, Table, label_of
from aista.scoring.base import Metric
from aista.scoring.holm import holm
from aista.scoring.hypotheses import align
from aista.scoring.seeds import SeedComparison, combine_seeds
from aista.scoring.significance import SystemScore, paired_bootstrap

__all__ = ["AblationRow", "Outcome", "ablation_csv", "ablation_table", "seconds_per_step"]


@dataclass(frozen=True)
class Outcome:
    """One run of an ablation: its row, seed and training (equal ids are one), its folder, or why it failed."""

    name: str
    seed: int
    id: str
    folder: RunFolder | None
    error: str


@dataclass(frozen=True)
class AblationRow:
    """One row. Scores are by metric and seed; a comparison is None for the baseline and what equals it.

    Attributes:
        name: The run's name.
        scores: Metric -> seed -> score.
        comparisons: Metric -> comparison with the baseline.
        adjusted: Metric -> p-value after Holm's correction over the rows of that metric.
        seconds: Mean over the seeds of the seconds per training step; None if unknown.
        memory: Largest peak memory of a seed in MiB; None if unknown.
        seeds: All seeds of the run.
        failed: Those that failed.
    """

    name: str
    scores: Mapping[str, Mapping[int, float]]
    comparisons: Mapping[str, SeedComparison]
    adjusted: Mapping[str, float]
    seconds: float | None
    memory: float | None
    seeds: tuple[int, ...]
    failed: tuple[int, ...]


def ablation_table(
    outcomes: Sequence[Outcome],
    metrics: Sequence[Metric],
    baseline: str,
    *,
    split: str = "test",
    samples: int = 1000,
    seed: int = 12345,
) -> tuple[Table, list[AblationRow]]:
    """Score the saved hypotheses of all runs and compare them with the baseline, seed by seed.

    Args:
        outcomes: Every run with every seed.
        metrics: All are in the rows; the first decides difference and significance in the table.
        baseline: Name of the run that the others are compared with.
        split: The evaluated split.
        samples: Bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        The table as text and the rows behind it.

    Raises:
        DataError: runs were evaluated on other utterances or references.
    """
    done = {(outcome.name, outcome.seed): outcome for outcome in outcomes if outcome.folder is not None}
    texts, references = _texts(done, split)
    scores = {
        metric.name: {key: metric.score(hypotheses, references).value for key, hypotheses in texts.items()}
        for metric in metrics
    }
    compared = {metric.name: _compare(done, texts, references, metric, baseline, samples, seed) for metric in metrics}
    adjusted = {name: holm({row: item.p_value for row, item in rows.items()}) for name, rows in compared.items()}
    rows = [
        _row(name, [outcome for outcome in outcomes if outcome.name == name], scores, compared, adjusted)
        for name in dict.fromkeys(outcome.name for outcome in outcomes)
    ]
    return _table(rows, [metric.name for metric in metrics], baseline), rows


def seconds_per_step(run: RunFolder) -> float | None:
    """Median over the metric records of the seconds of a step, data loading included, validation not."""
    times, last = [], 0.0
    for record in run.metrics("train"):
        steps, last = record["step"] - last, record["step"]
        if steps > 0 and "compute_time" in record:
            times.append((record["compute_time"] + record.get("data_time", 0.0)) / steps)
    return statistics.median(times) if times else None


def ablation_csv(rows: Sequence[AblationRow]) -> str:
    """One line per run and metric, with every number in full."""
    stream = io.StringIO()
    columns = ("run", "metric", "mean", "sd", "seeds", "failed_seeds", "difference", "difference_sd", "interval_low")
    more = ("interval_high", "p", "p_holm", "seconds_per_step", "peak_memory_mib", "scores")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*columns, *more))
    for row in rows:
        for metric, by_seed in row.scores.items():
            values, result = list(by_seed.values()), row.comparisons.get(metric)
            mean = statistics.mean(values) if values else None
            difference = () if result is None else (
                result.difference, result.spread, result.interval.low, result.interval.high, result.p_value,
                row.adjusted[metric],
            )  # fmt: skip
            texts = " ".join(f"{seed}:{value:.4f}" for seed, value in by_seed.items())
            counts = (len(row.seeds), len(row.failed))
            cells = (
                row.name,
                metric,
                mean,
                _spread(values),
                *counts,
                *(difference or (None,) * 6),
                row.seconds,
                row.memory,
            )
            writer.writerow((*cells, texts))
    return stream.getvalue()


def _texts(done: Mapping[tuple[str, int], Outcome], split: str) -> tuple[dict[tuple[str, int], list[str]], list[str]]:
    if not done:
        return {}, []
    labels = {f"{name}, seed {seed}": (name, seed) for name, seed in done}
    rows, hypotheses = align(
        {label: done[key].folder.evaluation(split).rows for label, key in labels.items()}  # type: ignore[union-attr]
    )
    return {labels[label]: texts for label, texts in hypotheses.items()}, [row.reference for row in rows]


def _compare(
    done: Mapping[tuple[str, int], Outcome],
    texts: Mapping[tuple[str, int], list[str]],
    references: Sequence[str],
    metric: Metric,
    baseline: str,
    samples: int,
    bootstrap_seed: int,
) -> dict[str, SeedComparison]:
    """Run -> its comparison over the seeds that it and the baseline have; what is the baseline is left out."""
    results: dict[str, dict[int, SystemScore]] = {}
    for seed in [seed for name, seed in done if name == baseline]:
        own = done[baseline, seed]
        others = {name: texts[name, s] for (name, s), run in done.items() if s == seed and run.id != own.id}
        if not others:
            continue
        comparison = paired_bootstrap(
            (baseline, texts[baseline, seed]), others, references, metric, samples=samples, seed=bootstrap_seed
        )
        for name in others:
            results.setdefault(name, {})[seed] = comparison.system(name)
    return {name: combine_seeds(by_seed) for name, by_seed in results.items()}


def _row(
    name: str,
    outcomes: Sequence[Outcome],
    scores: Mapping[str, Mapping[tuple[str, int], float]],
    compared: Mapping[str, Mapping[str, SeedComparison]],
    adjusted: Mapping[str, Mapping[str, float]],
) -> AblationRow:
    folders = [outcome.folder for outcome in outcomes if outcome.folder is not None]
    seconds = [value for folder in folders if (value := seconds_per_step(folder)) is not None]
    timings = [folder.timing() for folder in folders]
    memory = [timing.get("peak_gpu_memory_mib", timing.get("peak_memory_mib")) for timing in timings]
    known = [float(value) for value in memory if value is not None]
    return AblationRow(
        name=name,
        scores={
            metric: {seed: value for (run, seed), value in values.items() if run == name}
            for metric, values in scores.items()
        },
        comparisons={metric: rows[name] for metric, rows in compared.items() if name in rows},
        adjusted={metric: rows[name] for metric, rows in adjusted.items() if name in rows},
        seconds=statistics.mean(seconds) if seconds else None,
        memory=max(known, default=None),
        seeds=tuple(outcome.seed for outcome in outcomes),
        failed=tuple(outcome.seed for outcome in outcomes if outcome.folder is None),
    )


def _table(rows: Sequence[AblationRow], metrics: Sequence[str], baseline: str) -> Table:
    main, labels = metrics[0], [label_of(name) for name in metrics]
    columns = ("Run", *labels, f"Δ {labels[0]}", "95 % interval", "p", "p (Holm)", "s/step", "MiB", "Seeds")
    count = len({seed for row in rows for seed in row.seeds})
    title = f"Ablation over {count} seed{'s' if count > 1 else ''}; Δ is the difference from {baseline}"
    return Table(title, columns, tuple(_cells(row, metrics, main) for row in rows))


def _cells(row: AblationRow, metrics: Sequence[str], main: str) -> tuple[str, ...]:
    result = row.comparisons.get(main)
    significance = (NONE,) * 4
    if result is not None:
        significance = (
            _with_spread(result.difference, result.spread, "+.1f"),
            f"{result.interval.low:+.1f} to {result.interval.high:+.1f}",
            f"{result.p_value:.3f}",
            f"{row.adjusted[main]:.3f}",
        )
    return (
        row.name,
        *(_mean(list(row.scores[metric].values())) for metric in metrics),
        *significance,
        NONE if row.seconds is None else f"{row.seconds:.3g}",
        NONE if row.memory is None else f"{row.memory:.0f}",
        str(len(row.seeds) - len(row.failed)) + (f" ({len(row.failed)} failed)" if row.failed else ""),
    )


def _mean(values: Sequence[float]) -> str:
    return _with_spread(statistics.mean(values), _spread(values), ".1f") if values else NONE


def _with_spread(value: float, spread: float | None, pattern: str) -> str:
    return format(value, pattern) + (f" ± {spread:.1f}" if spread is not None else "")


def _spread(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
