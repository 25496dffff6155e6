"""An ablation's rows as a readable table and as complete CSV."""

from __future__ import annotations

import csv
import io
import statistics
from collections import Counter
from collections.abc import Sequence

from aista.report.tables import NONE, Table, difference_pattern, label_of, text_of
from aista.runs.ablation.measures import MEASURES, measure_label
from aista.runs.ablation.results import AblationRow

__all__ = ["ablation_csv", "ablation_table", "layers_text"]

_SIGNIFICANCE = ("95 % (seeds)", "p (seeds)", "Holm (seeds)", "95 % (segments)", "p (segments)", "Holm (segments)")
_PATTERNS = {"nll": ".3f", "nll_shuffled_speech": ".3f", "mrr": ".3f", "train_seconds": ".0f"}
_CSV = (
    *("run", "metric", "mean", "sd", "seeds", "failed_seeds"),
    *("difference", "difference_sd", "interval_low", "interval_high", "p", "p_holm"),
    *("seed_interval_low", "seed_interval_high", "seed_p", "seed_p_holm", "seed_t_p"),
    *("layers", "seconds_per_step", "peak_memory_mib", "scores", *MEASURES),
)


def ablation_table(rows: Sequence[AblationRow], baseline: str, headline: str = "") -> Table:
    """The table of an ablation: a column per metric and measure; differences and significance are of the first metric.

    ``headline`` names task and directions in the title.
    """
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.scores))
    labels = [label_of(name) for name in metrics]
    measures = [name for name in MEASURES if any(name in row.measures for row in rows)]
    more = [measure_label(name, metrics[0]) for name in measures]
    columns = ("Run", "Layers", *labels, f"Δ {labels[0]}", *_SIGNIFICANCE, *more, "s/step", "MiB", "Seeds")
    count = len({seed for row in rows for seed in row.seeds})
    title = f"Ablation over {count} seed{'s' if count > 1 else ''}; Δ is the difference from {baseline}"
    title += f"; {headline}" if headline else ""
    return Table(title, columns, tuple(_cells(row, metrics, measures) for row in rows))


def ablation_csv(rows: Sequence[AblationRow]) -> str:
    """One line per run and metric, with every number in full."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV)
    for row in rows:
        for metric, by_seed in row.scores.items():
            values = list(by_seed.values())
            cells = (
                *(row.name, metric, statistics.mean(values) if values else None, _spread(values)),
                *(len(row.seeds), len(row.failed)),
                *_numbers(row, metric),
                *(layers_text(row.layers), row.seconds, row.memory),
                " ".join(f"{seed}:{value:.4f}" for seed, value in by_seed.items()),
                *(statistics.mean(row.measures[name].values()) if name in row.measures else None for name in MEASURES),
            )
            writer.writerow(cells)
    return stream.getvalue()


def layers_text(chosen: Sequence[Sequence[int]]) -> str:
    """``1, 2``; where seeds differ, each set with its number of seeds: ``1, 2 (x2); 0, 1 (x1)``."""
    counts = Counter(", ".join(map(str, layers)) or NONE for layers in chosen)
    if len(counts) < 2:
        return next(iter(counts), NONE)
    return "; ".join(f"{layers} (x{count})" for layers, count in counts.most_common())


def _numbers(row: AblationRow, metric: str) -> tuple[float | None, ...]:
    result = row.comparisons.get(metric)
    if result is None:
        return (None,) * 11
    segments = (result.interval.low, result.interval.high, result.p_value, row.adjusted[metric])
    test = result.seed_test
    seeds: tuple[float | None, ...] = (None,) * 5
    if test is not None:
        seeds = (test.interval.low, test.interval.high, test.p_value, row.seeds_adjusted[metric], test.t_p_value)
    return (result.difference, result.spread, *segments, *seeds)


def _cells(row: AblationRow, metrics: Sequence[str], measures: Sequence[str]) -> tuple[str, ...]:
    return (
        row.name,
        layers_text(row.layers),
        *(_mean(list(row.scores[metric].values())) for metric in metrics),
        *_significance(row, metrics[0]),
        *(_mean(list(row.measures.get(name, {}).values()), _PATTERNS.get(name, ".1f")) for name in measures),
        text_of(row.seconds, ".3g"),
        text_of(row.memory, ".0f"),
        str(len(row.seeds) - len(row.failed)) + (f" ({len(row.failed)} failed)" if row.failed else ""),
    )


def _significance(row: AblationRow, metric: str) -> tuple[str, ...]:
    result = row.comparisons.get(metric)
    if result is None:
        return (NONE,) * (1 + len(_SIGNIFICANCE))
    seeds: tuple[str, ...] = (NONE,) * 3
    test = result.seed_test
    pattern = difference_pattern(result.interval, None if test is None else test.interval)
    if test is not None:
        seeds = (f"{test.interval:{pattern}}", f"{test.p_value:.3f}", f"{row.seeds_adjusted[metric]:.3f}")
    segments = (f"{result.interval:{pattern}}", f"{result.p_value:.3f}", f"{row.adjusted[metric]:.3f}")
    return (_with_spread(result.difference, result.spread, pattern), *seeds, *segments)


def _mean(values: Sequence[float], pattern: str = ".1f") -> str:
    return _with_spread(statistics.mean(values), _spread(values), pattern) if values else NONE


def _with_spread(value: float, spread: float | None, pattern: str) -> str:
    return format(value, pattern) + (f" ± {spread:{pattern.removeprefix('+')}}" if spread is not None else "")


def _spread(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
