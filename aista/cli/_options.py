"""What ``list``, ``show`` and ``check`` share: components named on the command line, options as text."""

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
from aista.convert import type_name
from aista.errors import AistaError, RegistryError
from aista.kinds import KINDS
from aista.registry import Entry
from aista.schema import Component, to_plain

__all__ = [
    "add_base_argument",
    "add_model_arguments",
    "add_plugin_argument",
    "base_weights",
    "find",
    "option_lines",
    "snippet",
    "source_file",
]

REQUIRED = "REQUIRED"


def add_plugin_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--plugin FILE``, which may be given several times."""
    parser.add_argument(
        "--plugin", metavar="FILE", action="append", default=[], help="load a Python file with components of your own"
    )


def find(text: str) -> Entry:
    """The component that ``KIND/NAME`` or an unambiguous ``NAME`` means.

    Raises:
        RegistryError: there is none, or several kinds have one of that name.
    """
    kind, slash, name = text.partition("/")
    if slash:
        return registry.get(kind, name)
    known = {kind: registry.names(kind) for kind in sorted(KINDS)}
    hits = [kind for kind, names in known.items() if text in names]
    if len(hits) == 1:
        return registry.get(hits[0], text)
    if hits:
        choices = ", ".join(f"{kind}/{text}" for kind in hits)
        raise RegistryError(f"{text!r} is the name of several components; choose one of {choices}")
    hint = registry.nearest(text, {name for names in known.values() for name in names})
    raise RegistryError(f"no component is named {text!r}{hint}; see aista list")


def source_file(entry: Entry) -> Path | None:
    """The file that registered the component."""
    module = inspect.getmodule(entry.factory)
    file = getattr(module, "__file__", None)
    return Path(file) if file else None


def option_lines(cls: type[Any], indent: str = "") -> Iterator[str]:
    """Every option of a dataclass: ``name: type = default (bounds)`` and its meaning below."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if not field.init or (issubclass(cls, Component) and field.name in ("name", "config")):
            continue
        nested = _nested(hints[field.name])
        kind = field.metadata.get("kind")
        head = f"{indent}{field.name}: {_kind_name(field, kind) if kind else type_name(hints[field.name])}"
        if kind or nested is None or field.default is not MISSING:
            head += _default_text(field)
        yield head + _bounds(field.metadata)
        if field.metadata.get("help"):
            yield f"{indent}    {field.metadata['help']}"
        if kind:
            yield f"{indent}    One of: {', '.join(registry.names(kind))}"
            beside = list(option_lines(field.metadata["type"], indent + "        "))
            if beside:
                yield f"{indent}    Beside the name:"
                yield from beside
        elif nested is not None:
            yield from option_lines(nested, indent + "    ")


def snippet(entry: Entry) -> dict[str, Any]:
    """The component's node for a config: its name and every option at its default."""
    node: dict[str, Any] = {"name": entry.name}
    if entry.config is not None:
        options = _defaults(entry.config)
        if options:
            node["config"] = options
    return node


def _defaults(cls: type[Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        kind, default = field.metadata.get("kind"), field.metadata.get("default")
        if not field.init:
            continue
        if kind and isinstance(default, str):
            values[field.name] = default
        elif "section" in field.metadata:
            values[field.name] = _defaults(field.metadata["section"])
        else:
            value = _default(field)
            values[field.name] = REQUIRED if value is MISSING else to_plain(value)
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
    if default is MISSING:
        return ", required"
    return ", none by default" if default is None else f" = {to_plain(default)!r}"


def _bounds(metadata: typing.Mapping[str, Any]) -> str:
    words = {"above": "> {}", "below": "< {}", "minimum": ">= {}", "maximum": "<= {}"}
    bounds = [text.format(metadata[name]) for name, text in words.items() if name in metadata]
    if "choices" in metadata:
        bounds.append(f"one of {', '.join(map(repr, metadata['choices']))}")
    return f" ({', '.join(bounds)})" if bounds else ""


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the commands that load a trained run."""
    parser.add_argument("--checkpoint", default="best", help="best, last, or a step number (default: best)")
    parser.add_argument("--device", default="", help="cpu or cuda (default: the GPU if there is one)")


def add_base_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--base PART=FOLDER``, which may be given several times."""
    parser.add_argument(
        "--base",
        metavar="PART=FOLDER",
        action="append",
        default=[],
        help="base weights of a part (encoder, llm), for what `aista export --trainable-only` wrote",
    )


def base_weights(args: argparse.Namespace) -> dict[str, Path]:
    """The folders given by ``--base``.

    Raises:
        AistaError: one is not of the form PART=FOLDER, or its folder does not exist.
    """
    found = {}
    for text in args.base:
        part, equals, folder = text.partition("=")
        if not equals or not Path(folder).exists():
            raise AistaError(f"--base must be PART=FOLDER with an existing folder, e.g. llm=models/qwen, got {text!r}")
        found[part] = Path(folder)
    return found
