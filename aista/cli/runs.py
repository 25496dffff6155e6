"""``aista runs [DIR]``: a table of the runs in a folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from aista.console import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("runs"),
        metavar="DIR",
        help="folder to search, subfolders and ablations included (default: runs)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON with all scores instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the table, with errors of runs below it."""
    from aista.report.printed_tables import print_table
    from aista.runs.overview import list_runs, overview_lines, overview_table, to_json
    from aista.terminal import result_console

    runs = list_runs(args.folder)
    if args.json:
        say(json.dumps(to_json(runs), indent=1))
        return 0
    print_table(result_console(), overview_table(runs))
    for line in overview_lines(runs):
        say(line)
    return 0
