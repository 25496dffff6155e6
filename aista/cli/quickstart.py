"""``aista quickstart [OUT]``: train and compare CE only and AI-STA on the embedded corpus."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.arguments import whole
from aista.shipped import find_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, nargs="?", default=Path("runs/quickstart"), metavar="OUT", help="run folder")
    parser.add_argument(
        "--config", type=find_config, default="quickstart", help="experiment config (default: quickstart)"
    )
    parser.add_argument(
        "--data", type=Path, default=Path("data/quickstart"), help="folder for the corpus (default: data/quickstart)"
    )
    parser.add_argument(
        "--seeds", type=whole(0), nargs="+", default=[1], help="repeat with these seeds and add a table"
    )


def run(args: argparse.Namespace) -> int:
    """Make the corpus, train the CE-only baseline and AI-STA, evaluate, probe, compare, report."""
    from aista.terminal import configure_logging

    configure_logging()
    from aista.corpora.quickstart import QuickstartCorpus
    from aista.runs.quickstart_workflow import Quickstart

    Quickstart(args.out, args.data, args.config, QuickstartCorpus()).run(args.seeds)
    return 0
