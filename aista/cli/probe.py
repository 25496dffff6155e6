"""``aista probe RUN``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.arguments import add_model_arguments, whole
from aista.console import say
from aista.errors import AistaError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="trained run folder")
    parser.add_argument("--split", default="dev", help="dev, test, or the path of a manifest (default: dev)")
    parser.add_argument("--size", type=whole(2), default=500, help="maximum number of utterances (default: 500)")
    parser.add_argument("--name", default="", help="name of the files in RUN/probe (default: SPLIT_step_N)")
    parser.add_argument(
        "--all-checkpoints", action="store_true", help="probe every checkpoint, to see the curves change over training"
    )
    parser.add_argument(
        "--resamples",
        type=whole(0, 1_000_000),
        default=1000,
        help="bootstrap resamples for the intervals (default: 1000; 0: no intervals)",
    )
    parser.add_argument(
        "--gradients",
        action="store_true",
        help="also compare the gradients of each layer's transport loss with those of the cross-entropy",
    )
    parser.add_argument("--utterance", default="", help="utterance (by id) whose transport plan is drawn")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Probe, print the tables, and list the files."""
    from aista.terminal import configure_logging, result_console

    configure_logging()
    if args.all_checkpoints and (args.utterance or args.checkpoint != "best"):
        raise AistaError("--all-checkpoints: takes no --checkpoint and no --utterance; it probes all and draws no plan")
    from aista.report.printed_tables import print_table
    from aista.runs.layer_probe import probe_one, probe_over_time

    shared = {name: getattr(args, name) for name in ("size", "name", "device", "resamples", "gradients", "verify")}
    if args.all_checkpoints:
        result = probe_over_time(args.run, args.split, **shared)
    else:
        result = probe_one(args.run, args.split, which=args.checkpoint, utterance=args.utterance, **shared)
    console = result_console()
    for table in result.tables:
        print_table(console, table)
    for file in result.files:
        say(file)
    return 0
