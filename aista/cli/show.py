"""``aista show KIND NAME`` or ``aista show SECTION``: description, options, and a config snippet to paste."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from aista import registry
from aista.cli.arguments import add_plugin_argument
from aista.config import dump_yaml
from aista.console import hanging, say
from aista.describe import OptionText, config_node, default_values, option_texts
from aista.errors import AistaError
from aista.kinds import KINDS
from aista.registry import Entry, nearest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kind", metavar="KIND", help="kind of component, e.g. ot_solver (see `aista list`), or a section of configs"
    )
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="e.g. sinkhorn; leave it out if KIND is a section: data, trainer, evaluation, initialize or pretraining",
    )
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    registry.load_plugins(args.plugin)
    if args.name is None:
        _show_section(args.kind)
    else:
        _show_component(registry.get(args.kind, args.name))
    return 0


def _show_component(entry: Entry) -> None:
    say(f"{entry.kind} {entry.name}\n{entry.origin}  ({_source_file(entry)})\n")
    _say_text(inspect.getdoc(entry.factory) or "(no description)")
    if entry.config is None:
        say("\nOptions: none")
    else:
        _say_options(entry.config)
    _say_config(config_node(entry))


def _show_section(name: str) -> None:
    """Print a section that every task shares."""
    from aista.tasks.experiment import Sections, Stage

    holds: dict[str, type[Any]] = {
        field.name: field.metadata["section"] for field in fields(Sections) if "section" in field.metadata
    }
    holds["pretraining"] = Stage
    if name not in holds:
        if name in KINDS:
            raise AistaError(f"show {name}: name one of its components: {', '.join(registry.names(name))}")
        known = f"sections: {', '.join(holds)}; `aista list` names the kinds of components"
        raise AistaError(f"{name!r} is not a section of a config{nearest(name, [*holds, *KINDS])}; {known}")
    meaning = next(field.metadata["help"] for field in fields(Sections) if field.name == name)
    _say_text(f"{name}, a section of configs: {meaning}")
    _say_text(inspect.getdoc(holds[name]) or "")
    _say_options(holds[name])
    values = default_values(holds[name])
    _say_config({name: [values] if name == "pretraining" else values})


def _say_options(cls: type[Any]) -> None:
    say("\nOptions:")
    _say_text("\n".join(_lines(option_texts(cls), "  ")))


def _say_text(text: str) -> None:
    """Print lines that go on, where they are wrapped, below their own beginning."""
    for line in text.split("\n"):
        say(hanging(line, len(line) - len(line.lstrip()) + 2))


def _say_config(node: Mapping[str, Any]) -> None:
    say("\nIn a config:")
    for line in dump_yaml(node).splitlines():
        say(f"  {line}")


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
