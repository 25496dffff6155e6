"""``aista export RUN OUT``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from aista.cli.arguments import add_verify_argument, number
from aista.console import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="trained run folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument("--checkpoint", default="best", help="best, last, or a step number (default: best)")
    add_verify_argument(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--trainable-only",
        action="store_true",
        help="leave out what the base models' folders hold; LoRA of the LLM in peft's layout",
    )
    form.add_argument("--merge-lora", action="store_true", help="put LoRA into the weights that it updates")
    parser.add_argument(
        "--shard-gb", type=number(0.001, 1000), default=5.0, help="largest file of weights in GB (default: 5)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the folder and list what is in it."""
    from aista.terminal import configure_logging

    configure_logging()
    from aista.engine.export.write import export

    kind: Literal["whole", "merged", "trainable"] = (
        "trainable" if args.trainable_only else "merged" if args.merge_lora else "whole"
    )
    files = export(
        args.run,
        args.out,
        which=args.checkpoint,
        kind=kind,
        shard_bytes=int(args.shard_gb * 1e9),
        verify=args.verify,
    )
    say(f"{args.out}: {', '.join(files)}")
    return 0
