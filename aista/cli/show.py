"""``aista show KIND NAME``: a component's origin, meaning and options, and a config snippet to paste."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import typing
from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from aista import registry
from aista.cli.arguments import add_plugin_argument
from aista.config import dump_yaml
from aista.console import say
from aista.convert import type_name
from aista.plain import to_plain
from aista.registry import Entry
from aista.schema import Component, required_options

REQUIRED = "REQUIRED"


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
        for line in _option_lines(entry.config, "  "):
            say(line)
    say("\nIn a config:")
    node = _snippet(entry)
    if entry.kind == "task":  # a task's options are the config's own top-level keys
        node = {"task": entry.name, **node.get("config", {})}
    for line in dump_yaml(node).splitlines():
        say(f"  {line}")
    return 0


def _source_file(entry: Entry) -> Path | None:
    """The file that registered the component."""
    module = inspect.getmodule(entry.factory)
    file = getattr(module, "__file__", None)
    return Path(file) if file else None


def _option_lines(cls: type[Any], indent: str = "") -> Iterator[str]:
    """Every option of a dataclass: ``name: type = default (bounds)`` and its meaning below."""
    hints, required = typing.get_type_hints(cls), required_options(cls)
    for field in dataclasses.fields(cls):
        if not field.init or (issubclass(cls, Component) and field.name in ("name", "config")):
            continue
        nested = _nested(hints[field.name])
        kind = field.metadata.get("kind")
        head = f"{indent}{field.name}: {_kind_name(field, kind) if kind else type_name(hints[field.name])}"
        if kind or nested is None or field.default is not MISSING:
            head += ", required" if field.name in required else _default_text(field)
        yield head + _bounds(field.metadata)
        if field.metadata.get("help"):
            yield f"{indent}    {field.metadata['help']}"
        if kind:
            yield f"{indent}    One of: {', '.join(registry.names(kind))}"
            beside = list(_option_lines(field.metadata["type"], indent + "        "))
            if beside:
                yield f"{indent}    Beside the name:"
                yield from beside
        elif nested is not None:
            yield from _option_lines(nested, indent + "    ")


def _snippet(entry: Entry) -> dict[str, Any]:
    """The component's node for a config: its name and every option at its default."""
    node: dict[str, Any] = {"name": entry.name}
    if entry.config is not None:
        options = _defaults(entry.config)
        if options:
            node["config"] = options
    return node


def _defaults(cls: type[Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    required = required_options(cls)
    for field in dataclasses.fields(cls):
        kind, default = field.metadata.get("kind"), field.metadata.get("default")
        if not field.init:
            continue
        if field.name in required:
            values[field.name] = REQUIRED
        elif kind and isinstance(default, str):
            values[field.name] = default
        elif "section" in field.metadata:
            values[field.name] = _defaults(field.metadata["section"])
        else:
            values[field.name] = to_plain(_default(field))
    return values


def _default(field: dataclasses.Field[Any]) -> Any:
    factory: Any = field.default_factory
    return field.default if factory is MISSING else factory()


def _nested(hint: Any) -> type[Any] | None:
    """The dataclass inside an annotation, e.g. in ``tuple[ParameterGroup, ...]``."""
    for candidate in (hint, *typing.get_args(hint)):
        if isinstance(candidate, type) and dataclasses.is_dataclass(candidate):
            return candidate
    return None


def _kind_name(field: dataclasses.Field[Any], kind: str) -> str:
    return f"list of {kind} components" if "many" in field.metadata else f"{kind} component"


def _default_text(field: dataclasses.Field[Any]) -> str:
    default = field.metadata["default"] if "kind" in field.metadata else _default(field)
    return ", none by default" if default is None else f" = {to_plain(default)!r}"


def _bounds(metadata: typing.Mapping[str, Any]) -> str:
    words = {"above": "> {}", "below": "< {}", "minimum": ">= {}", "maximum": "<= {}"}
    bounds = [text.format(metadata[name]) for name, text in words.items() if name in metadata]
    if "choices" in metadata:
        bounds.append(f"one of {', '.join(map(repr, metadata['choices']))}")
    return f" ({', '.join(bounds)})" if bounds else ""
