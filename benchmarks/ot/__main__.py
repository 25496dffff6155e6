"""Comparison of the transport solver with other libraries: checked against float64, then timed in turns.

python -m benchmarks.ot --workload typical --rows sinkhorn ott_jax
python -m benchmarks.ot --workload small --rows sinkhorn --plugin my_solver.py
python -m benchmarks.ot --device cuda --workload typical large --layers 1 4 --rounds 60
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn

from aista.cli.arguments import add_plugin_argument
from aista.errors import AistaError, RegistryError
from aista.files import write_text
from aista.registry import nearest
from aista.report.figure import save_png
from aista.report.printed_tables import print_table
from aista.report.tables import to_markdown
from aista.terminal import LABEL, passing_progress
from benchmarks.ot.chart import benchmark_table, floor_ratios, ratio_table
from benchmarks.ot.measure import check_rows, count_tasks, measure
from benchmarks.ot.measurement import Measurement, read_csv, write_csv
from benchmarks.ot.rows.base import Row
from benchmarks.ot.rows.plugin import plugin_rows, require_contracts
from benchmarks.ot.rows.table import FLOOR, RACE, ROWS
from benchmarks.ot.threads import limited_threads
from benchmarks.ot.workload import WORKLOADS, Workload, fold_layers, make_case

__all__ = ["main"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
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
    parser.add_argument(
        "--layers",
        nargs="+",
        type=_count,
        metavar="N",
        help="layers folded into the batch, one workload for each number (default: 1; on a GPU 1 and 4)",
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        metavar="NAME",
        help="solvers to time (the lower bound is always included; default: the race)",
    )
    add_plugin_argument(parser)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to measure (default: cpu)")
    parser.add_argument(
        "--dtype",
        choices=tuple(DTYPES),
        help="type of the states (default: float32, on a GPU bfloat16); peers get float32",
    )
    parser.add_argument("--rounds", type=_count, default=15, metavar="N", help="timed rounds (default: 15)")
    parser.add_argument("--threads", type=_threads, default=1, metavar="N", help="threads of each row (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="default: runs/bench")
    parser.add_argument("--check", action="store_true", help="check the rows against float64 and time nothing")
    parser.add_argument("--dry-run", action="store_true", help="list workloads and rows, and what cannot run here")
    return parser


def _run(args: argparse.Namespace) -> int:
    """Check every row against float64, time them in turns, print tables, write the files."""
    chosen = _chosen("workload", args.workload or WORKLOADS, WORKLOADS)
    own = plugin_rows(args.plugin, ROWS)
    rows = _chosen("row", [*own, FLOOR, *args.rows] if args.rows else [*own, *RACE], ROWS | own)
    layers = args.layers or ((1,) if args.device == "cpu" else (1, 4))
    workloads = {_name(name, n): fold_layers(sizes, n) for name, sizes in chosen.items() for n in layers}
    present = {name: row for name, row in rows.items() if not row.obstacle(args.device)}
    if args.dry_run:
        _describe(workloads, present)
    for name, row in rows.items():
        if name not in present:
            print(f"skipped: {name} ({row.obstacle(args.device)})")
    if args.dry_run:
        return 0
    if args.device == "cuda" and not torch.cuda.is_available():
        raise AistaError("--device cuda: torch finds no GPU here")
    require_contracts(own)
    with limited_threads(args.threads):
        _check(workloads, present, args) if args.check else _measure(workloads, present, args)
    return 0


def _check(workloads: Mapping[str, Workload], rows: Mapping[str, Row], args: argparse.Namespace) -> None:
    for name, workload in workloads.items():
        case = make_case(workload).to(args.device, _dtype(args))
        _, errors = check_rows(name, case, rows, progress=lambda _: None)
        for row, item in errors.items():
            faults = item.faults(rows[row], _dtype(args))
            shown = [f"{what} {error:.0e}" for what, error in item._asdict().items() if error == error]
            print(f"{name}, {row}: {', '.join(faults or shown) or 'not compared'}")


def _measure(workloads: Mapping[str, Workload], rows: Mapping[str, Row], args: argparse.Namespace) -> None:
    console, file = Console(), args.out / f"ot_{args.device}.csv"
    columns = (LABEL, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    where: dict[str, Any] = {"device": args.device, "dtype": _dtype(args)}
    measurements: list[Measurement] = []
    with passing_progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(workloads) * count_tasks(len(rows), args.rounds, args.device))

        def advance(text: str) -> None:
            progress.update(bar, advance=1, description=text)

        for name, workload in workloads.items():
            measurements += (new := measure(name, workload, rows, args.rounds, **where, progress=advance))
            write_csv(measurements, file)
            print_table(console, benchmark_table(new))
            for item in new:
                if item.fault:
                    print(f"{name}, {item.row}: {item.fault}")
    table, figure = file.with_name(f"{file.stem}_table.md"), file.with_suffix(".png")
    write_text(table, to_markdown(ratio_table(measurements)))
    save_png(floor_ratios(read_csv(file)), figure)
    print(", ".join(map(str, (file, table, figure))))


def _name(workload: str, layers: int) -> str:
    return workload if layers == 1 else f"{workload}, {layers} layers"


def _dtype(args: argparse.Namespace) -> torch.dtype:
    return DTYPES[args.dtype or ("float32" if args.device == "cpu" else "bfloat16")]


def _chosen(kind: str, names: Iterable[str], known: Mapping[str, Value]) -> dict[str, Value]:
    """The named ones in the order of the table."""
    names = list(names)
    for name in names:
        if name not in known:
            raise RegistryError(f"unknown {kind} {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return {name: value for name, value in known.items() if name in names}


def _describe(workloads: Mapping[str, Workload], rows: Mapping[str, Row]) -> None:
    print("workloads (utterances, speech positions, tokens, width):")
    for name, sizes in workloads.items():
        print(f"  {name:{_width(workloads)}}  {', '.join(map(str, sizes))}")
    print("rows:")
    for name, row in rows.items():
        print(f"  {name:{_width(rows)}}  {row.summary} ({row.version})")


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
