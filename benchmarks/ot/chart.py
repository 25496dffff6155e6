"""Benchmark results as tables and as a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from aista.report.figure import COLORS, GREY, style
from aista.report.tables import NONE, Table
from benchmarks.ot.measurement import Measurement
from benchmarks.ot.rows.table import FLOOR, ROWS

__all__ = ["benchmark_table", "floor_ratios", "ratio_table"]

COLUMNS = 3  # panels side by side


def benchmark_table(measurements: Sequence[Measurement]) -> Table:
    """One workload's rows: time, share of the memory's rate, relative errors, extra memory; ! marks what is wrong."""
    first = measurements[0]
    rows = [
        (
            item.row + ("!" if item.fault else ""),
            _number(item.ratio, ".2f"),
            _number(item.p50_ms, ".4g"),
            _number(item.roofline, ".1%"),
            *(_number(value, ".0e") for value in (item.value_error, item.x_gradient_error, item.y_gradient_error)),
            _number(item.memory_mib, ".0f"),
        )
        for item in measurements
    ]
    columns = ("row", "x floor", "ms", "roofline", "value", "x grad.", "y grad.", "MiB")
    threads = f"{first.threads} thread" + ("s" if first.threads > 1 else "")
    return Table(f"{first.workload}: {first.rounds} rounds, {threads}, {first.device}", columns, tuple(rows))


def ratio_table(measurements: Sequence[Measurement]) -> Table:
    """All workloads side by side: time over the floor's with the larger gradient error; the floor's own time."""
    workloads = list(dict.fromkeys(item.workload for item in measurements))
    cells = {(item.row, item.workload): _cell(item) for item in measurements}
    rows = dict.fromkeys(item.row for item in measurements)
    body = tuple((row, *(cells.get((row, workload), NONE) for workload in workloads)) for row in rows)
    return Table("time over the floor (gradient error)", ("row", *workloads), body)


def _cell(item: Measurement) -> str:
    if item.row == FLOOR:
        return f"1 ({item.p50_ms:.3g} ms)"
    error = _gradient_error(item)
    return f"{item.ratio:.2f}" + (f" ({error})" if error else "")


def _gradient_error(item: Measurement) -> str:
    """The larger gradient error of both sides, marked with ! if above its bound; empty without gradients."""
    errors = [error for error in (item.x_gradient_error, item.y_gradient_error) if not math.isnan(error)]
    return f"{max(errors):.0e}{'!' if item.fault else ''}" if errors else ""


def floor_ratios(measurements: Sequence[Measurement]) -> Figure:
    """Time over the floor's, a panel per workload, the larger gradient error at each bar (! above its bound).

    Raises:
        ValueError: there are no measurements.
    """
    workloads = list(dict.fromkeys(item.workload for item in measurements))
    if not workloads:
        raise ValueError("floor_ratios needs at least one measurement")
    longest = max(sum(item.workload == workload for item in measurements) for workload in workloads)
    height, width = math.ceil(len(workloads) / COLUMNS), min(len(workloads), COLUMNS)
    with style():
        figure = Figure(figsize=(5.4 * width, (1.2 + 0.36 * longest) * height), layout="constrained")
        every = figure.subplots(height, width, squeeze=False).flat
        for axes, workload in zip(every, workloads, strict=False):
            _draw(axes, [item for item in measurements if item.workload == workload])
            axes.set(title=workload, xlabel="time over the floor, gradient error")
        for axes in every[len(workloads) :]:
            axes.set_axis_off()
    return figure


def _draw(axes: Axes, measurements: Sequence[Measurement]) -> None:
    places = np.arange(len(measurements))
    ratios = [item.ratio for item in measurements]
    axes.barh(places, ratios, color=[_color(item) for item in measurements], height=0.7)
    axes.set_xscale("log")
    left, right = 0.9 * min(0.8, *ratios), max(1.1, *ratios)
    axes.set_xlim(left, right * right / left)  # the texts get the right half
    steps = (1, 2, 5) if right < 20 else (1,)
    axes.xaxis.set_major_locator(LogLocator(10, subs=steps, numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1, color=GREY, lw=1)
    axes.set_yticks(places, [item.row for item in measurements])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    for place, item in zip(places, measurements, strict=True):
        error = _gradient_error(item)
        text = f"{item.ratio:.2f}" + (f", error {error}" if error else "")
        axes.annotate(text, (item.ratio, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)


def _color(item: Measurement) -> str:
    if item.row == FLOOR:
        return GREY
    return COLORS[0] if item.row in ROWS and ROWS[item.row].ours else COLORS[4]


def _number(value: float, pattern: str) -> str:
    return NONE if math.isnan(value) else format(value, pattern)
