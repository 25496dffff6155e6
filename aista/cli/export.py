"""``aista export RUN OUT [--push ORG/NAME]``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from aista.cli.arguments import add_verify_argument, number
from aista.console import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="trained run folder, or with --push its export")
    parser.add_argument(
        "out", type=Path, metavar="OUT", nargs="?", help="output folder; leave it out if RUN is an export"
    )
    parser.add_argument("--checkpoint", default="best", help="best, last, or a step number (default: best)")
    add_verify_argument(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--trainable-only",
        action="store_true",
        help="leave out weights that the base models' folders hold; write the LLM's LoRA in peft's layout",
    )
    form.add_argument("--merge-lora", action="store_true", help="merge LoRA into the base weights")
    form.add_argument(
        "--transformers",
        action="store_true",
        help="write a model that transformers loads without aista, LoRA merged (runs of Qwen2-Audio's parts)",
    )
    parser.add_argument(
        "--shard-gb", type=number(0.001, 1000), default=5.0, help="maximum size of a weight file in GB (default: 5)"
    )
    parser.add_argument("--push", metavar="ORG/NAME", help="upload the export to this model on the Hugging Face hub")
    parser.add_argument("--public", action="store_true", help="make the uploaded model public (default: private)")


def run(args: argparse.Namespace) -> int:
    """Write the folder and list its files; upload it with ``--push``."""
    from aista.engine.export.push import find_target, plan_push
    from aista.errors import AistaError
    from aista.terminal import configure_logging

    configure_logging()
    if args.public and not args.push:
        raise AistaError("--public is for --push; add --push, or leave out --public")
    if args.out is None and not args.push:
        raise AistaError("OUT is missing: name the folder to make")
    target = find_target(args.push, public=args.public) if args.push else None
    folder = args.run if args.out is None else args.out
    if args.out is not None:
        _write(args)
    if target is not None:
        push = plan_push(folder, target)
        say(push)
        say(f"sent: {push.send()}")
    return 0


def _write(args: argparse.Namespace) -> None:
    from aista.engine.export.write import export

    kind: Literal["whole", "merged", "trainable", "transformers"] = "whole"
    if args.trainable_only:
        kind = "trainable"
    elif args.merge_lora:
        kind = "merged"
    elif args.transformers:
        kind = "transformers"
    files = export(
        args.run,
        args.out,
        which=args.checkpoint,
        kind=kind,
        shard_bytes=int(args.shard_gb * 1e9),
        verify=args.verify,
    )
    say(f"{args.out}: {', '.join(files)}")
