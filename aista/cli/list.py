"""``aista list [KIND]``: the registered components by kind; for one kind also the names of options."""

from __future__ import annotations

import argparse

from aista import registry
from aista.cli.arguments import add_plugin_argument
from aista.console import hanging, say
from aista.kinds import KINDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", nargs="?", metavar="KIND", help="list only this kind of component")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print each kind with its components, one line each."""
    registry.load_plugins(args.plugin)
    for number, kind in enumerate(sorted(KINDS) if args.kind is None else [args.kind]):
        components = registry.summaries(kind)
        say(hanging(f"{chr(10) if number else ''}{kind}: {KINDS[kind].summary}", 2))
        width = max(map(len, components), default=0)
        for name, summary in components.items():
            say(hanging(f"  {name:{width}}  {summary}", width + 4))
            options = registry.options(kind, name) if args.kind else ()
            if options:
                say(hanging(f"  {'':{width}}  options: {', '.join(options)}", width + 6))
    return 0
