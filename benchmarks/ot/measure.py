"""Check every row, then time them in turns: each once a round, in an order that rotates."""

from __future__ import annotations

import math
import platform
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

import aista
from aista.environment import source_commit
from aista.errors import RunError
from aista.plugin_faults import blame
from benchmarks.ot.check import Errors, measure_errors, solve_exactly
from benchmarks.ot.clock import WARM_UP, make_clock
from benchmarks.ot.measurement import Measurement
from benchmarks.ot.memory import extra_gpu_memory, extra_memory, save_case
from benchmarks.ot.roofline import copy_rate, least_seconds
from benchmarks.ot.rows.base import Row, Step
from benchmarks.ot.rows.table import FLOOR
from benchmarks.ot.workload import Case, Workload, make_case

__all__ = ["check_rows", "count_tasks", "measure", "time_rows"]

Progress = Callable[[str], None]


def count_tasks(rows: int, rounds: int, device: str = "cpu") -> int:
    """How often :func:`measure` reports progress."""
    return rows * (1 + WARM_UP[device] + rounds + 1)


def measure(
    name: str,
    workload: Workload,
    rows: Mapping[str, Row],
    rounds: int,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Progress,
) -> list[Measurement]:
    """Check, time and weigh the rows on one workload.

    Args:
        name: Name of the workload.
        workload: Its sizes.
        rows: By name, as in the table of rows, all able to run on the device; the floor is among them.
        rounds: Timed rounds, at least 1.
        device: ``cpu`` or ``cuda``.
        dtype: Type of the states for rows that take any.
        progress: Told what was done, :func:`count_tasks` times.

    Raises:
        RunError: a row raised, or one of this package's own is wrong. Then nothing is timed.
    """
    case = make_case(workload).to(device, dtype)
    steps, errors = check_rows(name, case, rows, progress=progress)
    rate = copy_rate(device)
    seconds = time_rows(steps, rounds, device, progress=lambda row: progress(f"{name}: timing {row}"))
    memory = _weigh(name, case, rows, steps, device, progress)
    return [_measurement(name, row, rows[row], case, seconds, errors[row], memory[row], rate) for row in rows]


def check_rows(
    name: str, case: Case, rows: Mapping[str, Row], *, progress: Progress
) -> tuple[dict[str, Step], dict[str, Errors]]:
    """Every row's step, and its errors against float64.

    Raises:
        RunError: a row raised, or one of this package's own is wrong.
        PluginError: a plug-in's row raised.
    """
    dtype, exact = case.x_BSD.dtype, solve_exactly(case)
    steps: dict[str, Step] = {}
    errors: dict[str, Errors] = {}
    for row_name, row in rows.items():
        try:
            steps[row_name] = row.start(case)
            outcome = steps[row_name]()
        except Exception as error:
            if fault := blame(error):
                raise fault from error
            message = f"row {row_name!r} ({row.version}) failed on {name!r}: {type(error).__name__}: {error}"
            raise RunError(f"{message}; --rows leaves it out") from error
        errors[row_name] = measure_errors(outcome if row.checked else None, exact)
        progress(f"{name}: checking {row_name}")
    wrong = [f"{row}: {fault}" for row in rows if rows[row].ours for fault in errors[row].faults(rows[row], dtype)]
    if wrong:
        raise RunError("\n  ".join([f"workload {name!r}: wrong results, so nothing was timed", *wrong]))
    return steps, errors


def time_rows(
    steps: Mapping[str, Step], rounds: int, device: str = "cpu", *, progress: Progress
) -> dict[str, list[float]]:
    """Seconds of each row in each round, the warm-up left out."""
    clock, warm_up = make_clock(device), WARM_UP[device]
    seconds: dict[str, list[float]] = {row: [] for row in steps}
    names = list(steps)
    for number in range(warm_up + rounds):
        first = number % len(names)
        for row in names[first:] + names[:first]:
            seconds[row].append(clock(steps[row]))
            progress(row)
    return {row: values[warm_up:] for row, values in seconds.items()}


def _weigh(
    name: str, case: Case, rows: Mapping[str, Row], steps: Mapping[str, Step], device: str, progress: Progress
) -> dict[str, float]:
    """MiB that each row's step adds."""
    memory = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "case.pt"
        if device == "cpu":
            save_case(case, file)
        for row, step in steps.items():
            memory[row] = (
                extra_memory(file, row, rows[row].plugin) if device == "cpu" else extra_gpu_memory(step, device)
            )
            progress(f"{name}: memory of {row}")
    return memory


def _measurement(
    workload: str,
    name: str,
    row: Row,
    case: Case,
    seconds: Mapping[str, list[float]],
    errors: Errors,
    memory: float,
    rate: float,
) -> Measurement:
    p20, p50, p80 = (1000 * float(value) for value in np.percentile(seconds[name], (20, 50, 80)))
    ratios = [own / floor for own, floor in zip(seconds[name], seconds[FLOOR], strict=True)]
    dtype, device = case.x_BSD.dtype, case.x_BSD.device
    return Measurement(
        workload=workload,
        row=name,
        p20_ms=p20,
        p50_ms=p50,
        p80_ms=p80,
        ratio=statistics.median(ratios),
        value_error=errors.value,
        x_gradient_error=errors.x_gradient,
        y_gradient_error=errors.y_gradient,
        memory_mib=memory,
        roofline=1000 * least_seconds(case, rate) / p50 if row.whole else math.nan,
        copy_gb_per_s=rate / 1e9,
        fault="; ".join(errors.faults(row, dtype)),
        rounds=len(ratios),
        threads=torch.get_num_threads(),
        device=_processor() if device.type == "cpu" else torch.cuda.get_device_name(device),
        dtype=str(dtype).removeprefix("torch."),
        library=row.version,
        aista=aista.__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        commit=source_commit() or "",
    )


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    models = [line for line in file.read_text().splitlines() if line.startswith("model name")] if file.is_file() else []
    return models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine()
