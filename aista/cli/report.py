"""``aista report RUN...``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.option_arguments import add_option_arguments, read_options
from aista.console import say
from aista.report.report_options import ReportOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders; the first is the baseline")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="page to write (default: report.html)")
    parser.add_argument("--title", default="", help="title of the page")
    add_option_arguments(parser, ReportOptions)


def run(args: argparse.Namespace) -> int:
    """Gather the folders, compute the plans, write the page."""
    from aista.terminal import configure_logging

    configure_logging()
    from aista.files import require_writable
    from aista.runs.report_assembly import labelled, make_report

    options = read_options(args, ReportOptions)
    runs = labelled(args.runs)
    require_writable(args.out)
    command = f"aista report {' '.join(map(str, args.runs))} --out {args.out}"
    report = make_report(runs, options, title=args.title or f"aista report: {', '.join(runs)}", command=command)
    from aista.report.render import write_report

    say(write_report(args.out, report))
    for note in report.missing:
        say(f"  missing: {note}")
    return 0
