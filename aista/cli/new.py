"""``aista new KIND NAME``: a plug-in to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.console import say
from aista.scaffold import new_component


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", help="kind of component, e.g. cost (see `aista list`)")
    parser.add_argument("name", metavar="NAME", help="its name in configs, in lower case, e.g. my_cost")
    parser.add_argument("--out", type=Path, metavar="FILE", help="output file (default: NAME.py)")


def run(args: argparse.Namespace) -> int:
    """Write the file, and print how to test and use it."""
    path = new_component(args.kind, args.name, args.out or Path(f"{args.name}.py"))
    say(f"{path}: a complete {args.kind}, to be changed\n  test it: aista check {path}")
    say(f"  use it: plugins: [{path}] in a config, and the name {args.name}")
    return 0
