"""Descriptions of options, from their declarations, for ``aista show`` and the reference pages."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any

from aista.convert import type_name
from aista.plain import to_plain
from aista.registry import Entry
from aista.schema import Component, required_options

__all__ = ["REQUIRED", "OptionText", "config_node", "default_values", "option_texts"]

REQUIRED = "REQUIRED"


@dataclass(frozen=True)
class OptionText:
    """One option.

    Attributes:
        name: Its key in a config.
        value: Type, default and bounds: ``float = 0.5 (> 0)``.
        meaning: Its description; may be empty.
        kind: The kind of the components that it holds, or an empty string.
        beside: Options of this place, written beside the component's name.
        within: Options of the dataclass that it holds.
    """

    name: str
    value: str
    meaning: str
    kind: str = ""
    beside: tuple[OptionText, ...] = ()
    within: tuple[OptionText, ...] = ()


def option_texts(cls: type[Any]) -> Iterator[OptionText]:
    """Every option of a dataclass that a config can give, in the order of declaration."""
    hints, required = typing.get_type_hints(cls), required_options(cls)
    for field in dataclasses.fields(cls):
        if not field.init or (issubclass(cls, Component) and field.name in ("name", "config")):
            continue
        nested = _nested(hints[field.name])
        kind = field.metadata.get("kind", "")
        value = _kind_name(field, kind) if kind else type_name(hints[field.name])
        if kind or nested is None or field.default is not MISSING:
            value += ", required" if field.name in required else _default_text(field)
        yield OptionText(
            name=field.name,
            value=value + _bounds(field.metadata),
            meaning=field.metadata.get("help", ""),
            kind=kind,
            beside=tuple(option_texts(field.metadata["type"])) if kind else (),
            within=tuple(option_texts(nested)) if nested is not None and not kind else (),
        )


def config_node(entry: Entry) -> dict[str, Any]:
    """A component's node for a config: its name and every option at its default; of a task, top-level keys."""
    options = default_values(entry.config) if entry.config is not None else {}
    if entry.kind == "task":
        return {"task": entry.name, **options}
    return {"name": entry.name, **({"config": options} if options else {})}


def default_values(cls: type[Any]) -> dict[str, Any]:
    """Every option of a dataclass at its default, as plain data; REQUIRED where there is none."""
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
            values[field.name] = default_values(field.metadata["section"])
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


def _bounds(metadata: Mapping[str, Any]) -> str:
    words = {"above": "> {}", "below": "< {}", "minimum": ">= {}", "maximum": "<= {}"}
    bounds = [text.format(metadata[name]) for name, text in words.items() if name in metadata]
    if "choices" in metadata:
        bounds.append(f"one of {', '.join(map(repr, metadata['choices']))}")
    return f" ({', '.join(bounds)})" if bounds else ""
