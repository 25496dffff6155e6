"""Times the rows of a comparison in turns in one process, and records the results."""

from __future__ import annotations

import csv
import math
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

import aista
from aista.environment import source_commit
from aista.files import replacing

__all__ = ["Result", "summarize", "surroundings", "take_turns", "write_results"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row on one workload.

    Attributes:
        question: The comparison.
        workload: On which batches.
        row: Name of the row.
        against: The row that the ratio refers to.
        p20_s: 20th percentile of the rounds' seconds.
        p50_s: Median.
        p80_s: 80th percentile.
        ratio: Median over rounds of the time of ``against`` over this row's in the same round: above 1 is faster.
        ratio_q25: First quartile.
        ratio_q75: Third quartile.
        tokens_per_s: Target tokens, EOS included, in the median round.
        positions_per_s: Positions of the language model that hold content, likewise.
        rounds: Number of timed rounds.
    """

    question: str
    workload: str
    row: str
    against: str
    p20_s: float
    p50_s: float
    p80_s: float
    ratio: float
    ratio_q25: float
    ratio_q75: float
    tokens_per_s: float
    positions_per_s: float
    rounds: int


def take_turns(rows: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each row in each round, as returned by the rows; a first round is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    names = list(rows)
    for number in range(1 + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(rows[name]())
    return {name: values[1:] for name, values in seconds.items()}


def summarize(
    seconds: Mapping[str, list[float]], *, question: str, workload: str, against: str, tokens: int, positions: int
) -> list[Result]:
    """A result for each row."""
    results = []
    for name, values in seconds.items():
        p20, p50, p80 = (float(value) for value in np.percentile(values, (20, 50, 80)))
        ratios = [base / own for base, own in zip(seconds[against], values, strict=True)]
        quartiles = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        results.append(
            Result(
                question=question,
                workload=workload,
                row=name,
                against=against,
                p20_s=p20,
                p50_s=p50,
                p80_s=p80,
                ratio=quartiles[1],
                ratio_q25=quartiles[0],
                ratio_q75=quartiles[2],
                tokens_per_s=tokens / p50,
                positions_per_s=positions / p50,
                rounds=len(values),
            )
        )
    return results


def surroundings(device: str = "cpu") -> dict[str, str]:
    """Device, versions and commit."""
    return {
        "device": _processor() if device == "cpu" else torch.cuda.get_device_name(device),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "aista": aista.__version__,
        **{name: version(name) for name in ("torch", "transformers", "peft")},
        "commit": source_commit() or "",
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.is_file() else []
    return models[0].partition(":")[2].strip() if models else platform.processor()


def write_results(results: Sequence[Result], file: Path, *, device: str = "cpu") -> None:
    """Write CSV with the origin in each line; a cell without a number is empty."""
    origin = surroundings(device)
    columns = [field.name for field in fields(results[0])] + list(origin)
    with replacing(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for result in results:
            writer.writerow({key: _cell(value) for key, value in asdict(result).items()} | origin)


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.5g}"
    return str(value)
