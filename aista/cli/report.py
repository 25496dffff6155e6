"""``aista report RUN...``."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from aista.cli.arguments import add_model_arguments

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders; the first is the baseline")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="page to write (default: report.html)")
    parser.add_argument("--title", default="", help="headline of the page")
    parser.add_argument("--split", default="test", help="evaluated split (default: test)")
    parser.add_argument("--samples", type=int, default=1000, help="bootstrap samples (default: 1000)")
    parser.add_argument("--seed", type=int, default=12345, help="seed of the resampling (default: 12345)")
    parser.add_argument("--utterances", type=int, default=1000, help="maximum number of utterances (default: 1000)")
    parser.add_argument("--audio", type=int, default=20, help="maximum number of utterances with audio (default: 20)")
    parser.add_argument("--audio-mib", type=float, default=4.0, help="maximum size of the audio in MiB (default: 4)")
    parser.add_argument(
        "--plans", type=int, default=2, help="utterances with transport plans of every run (default: 2)"
    )
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Gather the folders, compute the plans, write the page."""
    from aista.console import configure_logging

    configure_logging()
    from aista.runs.report_assembly import ReportOptions, labelled, make_report

    options = ReportOptions(**{field.name: getattr(args, field.name) for field in fields(ReportOptions)})
    runs = labelled(args.runs)
    command = f"aista report {' '.join(map(str, args.runs))} --out {args.out}"
    report = make_report(runs, options, title=args.title or f"aista report: {', '.join(runs)}", command=command)
    from aista.report.render import write_report

    print(write_report(args.out, report))
    for note in report.missing:
        print(f"  missing: {note}")
    return 0
