"""``aista show KIND NAME``: a component's origin, meaning and options, and a config snippet to paste."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path

from aista import registry
from aista.cli.arguments import add_plugin_argument
from aista.config import dump_yaml
from aista.console import say
from aista.describe import OptionText, config_node, option_texts
from aista.registry import Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", help="e.g. ot_solver; aista list names them all")
    parser.add_argument("name", metavar="NAME", help="e.g. sinkhorn")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    registry.load_plugins(args.plugin)
    entry = registry.get(args.kind, args.name)
    say(f"{entry.kind} {entry.name}\n{entry.origin}  ({_source_file(entry)})\n")
    say(inspect.getdoc(entry.factory) or "(no description)")
    if entry.config is None:
        say("\nOptions: none")
    else:
        say("\nOptions:")
        for line in _lines(option_texts(entry.config), "  "):
            say(line)
    say("\nIn a config:")
    for line in dump_yaml(config_node(entry)).splitlines():
        say(f"  {line}")
    return 0


def _source_file(entry: Entry) -> Path | None:
    """The file that registered the component."""
    module = inspect.getmodule(entry.factory)
    file = getattr(module, "__file__", None)
    return Path(file) if file else None


def _lines(options: Iterable[OptionText], indent: str) -> Iterator[str]:
    """Each option as ``name: type = default (bounds)``, and below it its meaning and the options that it holds."""
    for option in options:
        yield f"{indent}{option.name}: {option.value}"
        if option.meaning:
            yield f"{indent}    {option.meaning}"
        if option.kind:
            yield f"{indent}    One of: {', '.join(registry.names(option.kind))}"
        if option.beside:
            yield f"{indent}    Beside the name:"
            yield from _lines(option.beside, indent + "        ")
        yield from _lines(option.within, indent + "    ")
