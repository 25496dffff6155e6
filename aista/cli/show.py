"""``aista show KIND NAME``: a component's origin, meaning and options, and a config snippet to paste."""

from __future__ import annotations

import argparse
import inspect

from aista import registry
from aista.cli._options import add_plugin_argument, option_lines, snippet, source_file
from aista.config import dump_yaml

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("kind", metavar="KIND", help="e.g. ot_solver; aista list names them all")
    parser.add_argument("name", metavar="NAME", help="e.g. sinkhorn")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the component's page."""
    registry.load_plugins(args.plugin)
    entry = registry.get(args.kind, args.name)
    print(f"{entry.kind} {entry.name}\n{entry.origin}  ({source_file(entry)})\n")
    print(inspect.getdoc(entry.factory) or "(no description)")
    if entry.config is None:
        print("\nOptions: none")
    else:
        print("\nOptions:")
        for line in option_lines(entry.config, "  "):
            print(line)
    print("\nIn a config:")
    node = snippet(entry)
    if entry.kind == "task":  # a task's options are the config's own top-level keys
        node = {"task": entry.name, **node.get("config", {})}
    for line in dump_yaml(node).splitlines():
        print(f"  {line}")
    return 0
