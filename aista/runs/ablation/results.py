"""The numbers of an ablation: scores per seed, differences from a baseline, corrected significance, cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aista.report.report_options import ComparisonOptions
from aista.report.test_set import MetricBuilder, TestSet, read_test_set, split_of
from aista.run_folder.contents import RunFolder
from aista.run_folder.run_names import ablation_run_label
from aista.runs.ablation.measures import by_measure, read_measures
from aista.scoring.base import Metric
from aista.scoring.holm import holm
from aista.scoring.seeds import SeedComparison, combine_seeds
from aista.scoring.significance import SystemScore, paired_bootstrap
from aista.selection.curve import ProbeCurve

__all__ = [
    "AblationRow",
    "Outcome",
    "ablation_rows",
    "early_probes",
    "layer_scores",
    "read_outcomes",
    "seconds_per_step",
    "single_layer_gains",
]


@dataclass(frozen=True)
class Outcome:
    """One run of an ablation: its row, seed and training id, and its folder or the reason of its failure."""

    name: str
    seed: int
    id: str
    folder: RunFolder | None
    error: str

    @property
    def failure(self) -> str:
        """The run and the reason of its failure; empty if it did not fail."""
        return f"{ablation_run_label(self.name, self.seed)}: {self.error}" if self.error else ""


@dataclass(frozen=True)
class AblationRow:
    """One row of the table. A comparison is None for the baseline and for runs equal to it.

    Attributes:
        name: The run's name.
        scores: Metric -> seed -> score.
        comparisons: Metric -> comparison with the baseline.
        adjusted: Metric -> p-value over segments after Holm's correction over the rows of that metric.
        seeds_adjusted: The same for the p-values over seeds.
        layers: The aligned layers of each scored seed; empty for runs without alignment.
        seconds: Mean over the seeds of the seconds per training step; None if unknown.
        memory: Largest peak memory of a seed in MiB; None if unknown.
        measures: Name -> seed -> value of other measures (``MEASURES``).
        seeds: All seeds of the run.
        failed: Seeds whose training failed.
    """

    name: str
    scores: Mapping[str, Mapping[int, float]]
    comparisons: Mapping[str, SeedComparison]
    adjusted: Mapping[str, float]
    seeds_adjusted: Mapping[str, float]
    layers: tuple[tuple[int, ...], ...]
    seconds: float | None
    memory: float | None
    measures: Mapping[str, Mapping[int, float]]
    seeds: tuple[int, ...]
    failed: tuple[int, ...]


def ablation_rows(
    outcomes: Sequence[Outcome],
    metrics: MetricBuilder,
    baseline: str,
    options: ComparisonOptions,
    *,
    probe: str = "",
    task: str = "",
) -> list[AblationRow]:
    """Score the saved hypotheses of all runs and compare them with the baseline, seed by seed.

    Args:
        outcomes: Every run with every seed.
        metrics: Builds the metrics of the rows.
        baseline: Name of the run that the others are compared with.
        options: Split, direction and resampling.
        probe: Name of the probe of each run; empty for none.
        task: Task of the rows; empty: that of ``headline_task``.

    Returns:
        A row per name, in the order of the outcomes.

    Raises:
        DataError: as ``read_test_set``.
    """
    done = {(outcome.name, outcome.seed): outcome for outcome in outcomes if outcome.folder is not None}
    found = read_outcomes(outcomes, metrics, options, task)
    built = metrics(task, {"": ""}) if found is None else found.metrics
    scores = {metric.name: {} if found is None else _scores(done, found, metric) for metric in built}
    compared = {
        metric.name: {} if found is None else _compare(done, found, metric, baseline, options) for metric in built
    }
    segments = {key: _holm({name: item.p_value for name, item in each.items()}) for key, each in compared.items()}
    seeds = {key: _holm({name: item.seed_p_value for name, item in each.items()}) for key, each in compared.items()}
    measured: dict[str, dict[int, dict[str, float]]] = {}
    for (name, seed), outcome in done.items():
        assert outcome.folder is not None
        of_headline = split_of(outcome.folder, options.split, found.task if found else "")
        values = read_measures(outcome.folder, options.split, of_headline, built[0].name, probe)
        measured.setdefault(name, {})[seed] = values
    of_metrics = scores, compared, segments, seeds
    return [
        _row(name, [one for one in outcomes if one.name == name], *of_metrics, by_measure(measured.get(name, {})))
        for name in dict.fromkeys(outcome.name for outcome in outcomes)
    ]


def read_outcomes(
    outcomes: Sequence[Outcome], metrics: MetricBuilder, options: ComparisonOptions, task: str = ""
) -> TestSet | None:
    """The shared test set of the finished runs, or None without any. See ``ablation_rows``."""
    runs = {ablation_run_label(one.name, one.seed): one.folder for one in outcomes if one.folder is not None}
    return read_test_set(runs, metrics, options, task=task) if runs else None


def layer_scores(outcomes: Sequence[Outcome], probe: str) -> dict[str, dict[int, dict[int, float]]]:
    """MRR of runs with the probe: run -> seed -> layer -> value; of equal trainings only the first."""
    scores: dict[str, dict[int, dict[int, float]]] = {}
    seen: set[str] = set()
    for outcome in outcomes:
        if outcome.folder is not None and outcome.id not in seen and probe in outcome.folder.paths.probe_names():
            seen.add(outcome.id)
            scores.setdefault(outcome.name, {})[outcome.seed] = outcome.folder.probe(probe).curve.values()
    return scores


def early_probes(outcomes: Sequence[Outcome], baseline: str, probe: str) -> dict[int, ProbeCurve]:
    """Seed -> the baseline's curve of that name, for the seeds that have it."""
    return {
        outcome.seed: outcome.folder.probe(probe).curve
        for outcome in outcomes
        if outcome.name == baseline and outcome.folder is not None and probe in outcome.folder.paths.probe_names()
    }


def single_layer_gains(rows: Sequence[AblationRow], baseline: str, metric: str) -> dict[int, dict[int, float]]:
    """Seed -> layer -> gain over the baseline of the same seed of the run that aligns only this layer.

    Of several runs that align the same layer the first counts.
    """
    reference = next(row.scores[metric] for row in rows if row.name == baseline)
    gains: dict[int, dict[int, float]] = {}
    for row in rows:
        layers = set(row.layers)
        if len(layers) != 1 or len(layer := next(iter(layers))) != 1:
            continue
        for seed, score in row.scores[metric].items():
            if seed in reference:
                gains.setdefault(seed, {}).setdefault(layer[0], score - reference[seed])
    return gains


def seconds_per_step(run: RunFolder) -> float | None:
    """Median over the metric records of the seconds of a step, data loading included, validation not."""
    times, last = [], 0.0
    for record in run.metrics("train"):
        steps, last = record["step"] - last, record["step"]
        if steps > 0 and "compute_time" in record:
            times.append((record["compute_time"] + record.get("data_time", 0.0)) / steps)
    return statistics.median(times) if times else None


def _scores(done: Mapping[tuple[str, int], Outcome], found: TestSet, metric: Metric) -> dict[tuple[str, int], float]:
    texts = found.hypotheses
    return {key: metric.score(texts[ablation_run_label(*key)], found.references, found.inputs).value for key in done}


def _compare(
    done: Mapping[tuple[str, int], Outcome],
    found: TestSet,
    metric: Metric,
    baseline: str,
    options: ComparisonOptions,
) -> dict[str, SeedComparison]:
    """Run -> its comparison over the seeds that it shares with the baseline, which is left out."""
    results: dict[str, dict[int, SystemScore]] = {}
    for seed in [seed for name, seed in done if name == baseline]:
        reference = done[baseline, seed]
        others = [name for (name, s), run in done.items() if s == seed and run.id != reference.id]
        if not others:
            continue
        comparison = paired_bootstrap(
            (baseline, found.hypotheses[ablation_run_label(baseline, seed)]),
            {name: found.hypotheses[ablation_run_label(name, seed)] for name in others},
            found.references,
            metric,
            inputs=found.inputs,
            samples=options.samples,
            seed=options.seed,
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
    seeds_adjusted: Mapping[str, Mapping[str, float]],
    measures: Mapping[str, Mapping[int, float]],
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
        seeds_adjusted={metric: rows[name] for metric, rows in seeds_adjusted.items() if name in rows},
        layers=tuple(choice.layers if (choice := folder.selection()) else () for folder in folders),
        seconds=statistics.mean(seconds) if seconds else None,
        memory=max(known, default=None),
        measures=measures,
        seeds=tuple(outcome.seed for outcome in outcomes),
        failed=tuple(outcome.seed for outcome in outcomes if outcome.folder is None),
    )


def _holm(p_values: Mapping[str, float | None]) -> dict[str, float]:
    return holm({name: value for name, value in p_values.items() if value is not None})
