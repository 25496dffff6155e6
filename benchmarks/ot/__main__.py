"""The transport solver beside its peers: each is checked against float64, then they are timed in turns.

python -m benchmarks.ot --workload typical --rows sinkhorn ott_jax
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from aista.console import passing_progress
from aista.errors import AistaError, RegistryError
from aista.registry import nearest
from aista.report.figure import save_png
from aista.report.tables import to_rich
from benchmarks.ot.chart import benchmark_table, floor_ratios
from benchmarks.ot.measure import count_tasks, measure
from benchmarks.ot.measurement import Measurement, read_csv, write_csv
from benchmarks.ot.rows.base import Row
from benchmarks.ot.rows.table import FLOOR, ROWS
from benchmarks.ot.threads import limited_threads
from benchmarks.ot.workload import WORKLOADS, Workload

__all__ = ["main"]

Value = TypeVar("Value")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 a row is wrong or failed, 2 the user's mistake."""
    args = _parser().parse_args(argv)
    try:
        return _run(args)
    except AistaError as error:
        print(f"benchmarks.ot: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ot", description="Time the transport solver beside other libraries'."
    )
    parser.add_argument("--workload", nargs="+", metavar="NAME", help="sizes to measure at (default: all)")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="rows to measure (default: all; the floor joins)")
    parser.add_argument("--rounds", type=_count, default=15, metavar="N", help="timed rounds (default: 15)")
    parser.add_argument("--threads", type=_threads, default=1, metavar="N", help="threads of each row (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="default: runs/bench")
    parser.add_argument("--dry-run", action="store_true", help="list workloads and rows, and what is not installed")
    return parser


def _run(args: argparse.Namespace) -> int:
    """Check every row against float64, time them in turns, print tables, write ratios.csv and ratios.png."""
    workloads = _chosen("workload", args.workload, WORKLOADS)
    rows = _chosen("row", args.rows and [FLOOR, *args.rows], ROWS)
    if args.dry_run:
        _describe(workloads, rows)
        return 0
    present = {name: row for name, row in rows.items() if row.is_installed}
    _name_missing(rows)
    _measure(workloads, present, args)
    return 0


def _measure(workloads: Mapping[str, Workload], rows: Mapping[str, Row], args: argparse.Namespace) -> None:
    console, file = Console(), args.out / "ratios.csv"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    measurements: list[Measurement] = []
    with limited_threads(args.threads), passing_progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(workloads) * count_tasks(len(rows), args.rounds))

        def advance(text: str) -> None:
            progress.update(bar, advance=1, description=text)

        for name, workload in workloads.items():
            measurements += (new := measure(name, workload, rows, args.rounds, progress=advance))
            write_csv(measurements, file)
            console.print(to_rich(benchmark_table(new)))
            for item in new:
                if item.fault:
                    print(f"{name}, {item.row}: {item.fault}")
    save_png(floor_ratios(read_csv(file)), args.out / "ratios.png")
    print(f"{file}, {args.out / 'ratios.png'}")


def _chosen(kind: str, names: Sequence[str] | None, known: Mapping[str, Value]) -> dict[str, Value]:
    """The named ones in the order of the table; all if none are named."""
    for name in names or ():
        if name not in known:
            raise RegistryError(f"unknown {kind} {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return {name: value for name, value in known.items() if not names or name in names}


def _describe(workloads: Mapping[str, Workload], rows: Mapping[str, Row]) -> None:
    print("workloads (utterances, speech positions, tokens, width):")
    for name, sizes in workloads.items():
        print(f"  {name:{_width(workloads)}}  {', '.join(map(str, sizes))}")
    print("rows:")
    for name, row in rows.items():
        if row.is_installed:
            print(f"  {name:{_width(rows)}}  {row.summary} ({row.version})")
    _name_missing(rows)


def _name_missing(rows: Mapping[str, Row]) -> None:
    for name, row in rows.items():
        if not row.is_installed:
            print(f"skipped: {name} ({row.distribution} is not installed; pip install '{row.extra}')")


def _width(names: Iterable[str]) -> int:
    return max(map(len, names))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _threads(text: str) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if _count(text) > cores:
        raise argparse.ArgumentTypeError(f"must be at most the number of usable cores, {cores}, got {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
