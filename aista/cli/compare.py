"""``aista compare BASELINE RUN...``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.arguments import add_option_arguments, read_options
from aista.console import say
from aista.report.report_options import ComparisonOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("baseline", type=Path, metavar="BASELINE", help="evaluated run folder")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="evaluated run folders to compare with it")
    add_option_arguments(parser, ComparisonOptions)


def run(args: argparse.Namespace) -> int:
    """Print scores, differences and p-values of paired bootstrap resampling, with signatures."""
    from rich.console import Console

    from aista.report.summary import summarise
    from aista.report.tables import headline_table, to_rich
    from aista.run_folder.contents import RunFolder
    from aista.run_folder.sources import differing_data
    from aista.scoring.hypotheses import sameness
    from aista.tasks.experiment import load_experiment
    from aista.tasks.preflight import build_metrics

    options = read_options(args, ComparisonOptions)
    folders = {str(path): RunFolder(path) for path in (args.baseline, *args.runs)}
    metrics = build_metrics(load_experiment(folders[str(args.baseline)].paths.config_file))
    summary = summarise(folders, metrics, options)
    Console().print(
        to_rich(headline_table(summary.systems, f"Split {options.split}, {options.samples} bootstrap samples"))
    )
    for comparison in summary.comparisons:
        say(f"{comparison.metric}: {comparison.signature}")
    for label, source in summary.sources.items():
        say(f"{label}: {source}")
    warning = differing_data(summary.sources)
    if warning:
        say(f"WARNING: {warning}")
    for label, folder in folders.items():
        if not folder.paths.is_complete:
            say(f"WARNING: {label}: its training is not complete")
    references = [row.reference for row in summary.rows]
    for label, hypotheses in summary.hypotheses.items():
        warning = sameness(hypotheses, references)
        if warning:
            say(f"WARNING: {label}: {warning}")
    return 0
