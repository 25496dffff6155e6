"""``aista list [KIND]``: what is registered, by kind."""

from __future__ import annotations

import argparse

from aista import registry
from aista.cli._options import add_plugin_argument, first_line

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("kind", nargs="?", metavar="KIND", help="show the components of this kind only")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print each kind with its components, one line each."""
    registry.load_plugins(args.plugin)
    known = {kind.name: kind for kind in registry.kinds()}
    if args.kind is not None:
        registry.entries(args.kind)  # raises for an unknown kind, naming the known ones
        known = {args.kind: known[args.kind]}
    for number, kind in enumerate(known.values()):
        entries = registry.entries(kind.name)
        print(f"{chr(10) if number else ''}{kind.name}: {kind.summary}")
        width = max((len(entry.name) for entry in entries), default=0)
        for entry in entries:
            print(f"  {entry.name:{width}}  {first_line(entry)}")
        if not entries:
            print("  (none registered)")
    return 0
