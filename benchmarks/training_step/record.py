"""Records of measured steps, and their files."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aista.files import write_text
from aista.report.tables import Table, to_markdown
from benchmarks.training_step.gates import Gate
from benchmarks.turns import Result, surroundings, write_results

__all__ = ["StepResult", "make_table", "write"]

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class StepResult(Result):
    """A row; NaN where a figure is not available.

    Attributes:
        tflop: 1e12 operations that the step must do, from the trace; a plain loop's are those of aista's CE only.
        peak_tflops: Peak rate of the device that MFU refers to.
        mfu: Operations over time and peak rate.
        peak_gib: Peak memory: the row's weights, optimizer state, and what the step adds.
        predicted_ms: Prediction of a dry run.
        predicted_gib: Likewise.
    """

    tflop: float
    peak_tflops: float
    mfu: float
    peak_gib: float
    predicted_ms: float
    predicted_gib: float


def make_table(results: Sequence[StepResult]) -> Table:
    """A row for each."""
    times = ("row", "ms", "20 to 80 %", "speed", "tokens/s", "positions/s")
    columns = (*times, "TFLOP", "MFU", "peak GiB", "predicted ms", "predicted GiB")
    return Table(results[0].workload, columns, tuple(_cells(result) for result in results))


def _cells(result: StepResult) -> tuple[str, ...]:
    return (
        result.row,
        f"{1000 * result.p50_s:.1f}",
        f"{1000 * result.p20_s:.1f} to {1000 * result.p80_s:.1f}",
        f"{result.ratio:.3f}",
        f"{result.tokens_per_s:.0f}",
        f"{result.positions_per_s:.0f}",
        _number(result.tflop, ".4g"),
        _number(result.mfu, ".1%"),
        _number(result.peak_gib, ".2f"),
        _number(result.predicted_ms, ".1f"),
        _number(result.predicted_gib, ".2f"),
    )


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def write(
    results: Sequence[StepResult], gates: Sequence[Gate], *, file: Path, device: str, settings: str, command: str
) -> None:
    """``file`` as Markdown, and beside it the same as CSV.

    Args:
        results: The rows.
        gates: Conditions that held before timing.
        file: Its name ends on ``.md``.
        device: ``cpu`` or ``cuda``.
        settings: Description of the runs.
        command: The command that made the file.
    """
    origin = surroundings(device)
    versions = ", ".join(f"{name} {origin[name]}" for name in ("torch", "transformers", "peft"))
    parts = [
        f"# A training step beside plain transformers: {results[0].workload}",
        f"{datetime.date.today()}, commit {origin['commit'] or 'unknown'}; {origin['device']}, threads: "
        f"{origin['threads']}, Python {origin['python']}, {versions}. Written by",
        f"    {command}",
        settings,
        to_markdown(make_table(results)).strip(),
        "Before anything was timed:",
        "\n".join(f"- {gate}" for gate in gates),
    ]
    write_text(file, "\n\n".join(parts) + "\n")
    write_results(results, file.with_suffix(".csv"), device=device)
