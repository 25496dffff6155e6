"""JSON Schema of options, from their declarations, with which editors complete and check configs.

It has each option's type, bounds, choices and meaning, and the options of every registered component. Only
``aista train --dry-run`` checks rules that span options, and whether files exist.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from aista import registry
from aista.plain import to_plain
from aista.schema import Component, required_options

__all__ = ["Definitions", "document", "options_schema"]

Schema = dict[str, Any]
_SCALARS: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Path: {"type": "string", "minLength": 1},
}
_BOUNDS = {"minimum": "minimum", "maximum": "maximum", "above": "exclusiveMinimum", "below": "exclusiveMaximum"}


def document(title: str, schema: Schema, definitions: Definitions) -> Schema:
    """Wrap a schema as a complete document, in the dialect that editors support best (draft 7)."""
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": title}
    return {**head, **schema, "definitions": definitions.schemas}


def options_schema(title: str, cls: type[Any]) -> Schema:
    """The document for a file that holds the options of one dataclass."""
    definitions = Definitions()
    return document(title, definitions.options(cls), definitions)


class Definitions:
    """Schemas of dataclasses and components, each written once and referred to.

    Args:
        partial: No option is required: for nodes that are merged into a whole config, such as pretraining stages.
        others: Definitions to which the new schemas are added.
    """

    def __init__(self, *, partial: bool = False, others: dict[str, Schema] | None = None) -> None:
        self.schemas: dict[str, Schema] = {} if others is None else others
        self._partial = partial

    def options(self, cls: type[Any], *, leave_out: tuple[str, ...] = ()) -> Schema:
        """A mapping with the options of a dataclass and no others."""
        required = [name for name in required_options(cls) if name not in leave_out]
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": self.properties(cls, leave_out=leave_out),
            **({"required": required} if required and not self._partial else {}),
        }

    def properties(self, cls: type[Any], *, leave_out: tuple[str, ...] = ()) -> dict[str, Schema]:
        """Option -> its schema."""
        hints = typing.get_type_hints(cls)
        fields = [field for field in dataclasses.fields(cls) if field.init and field.name not in leave_out]
        return {field.name: self._field(field, hints[field.name]) for field in fields}

    def _field(self, field: dataclasses.Field[Any], hint: Any) -> Schema:
        kind = field.metadata.get("kind")
        if kind is None:
            schema = self._of(hint, field.metadata)
            default = field.default
        else:
            node = self._component(kind, field.metadata["type"])
            if not self._partial:
                node = {"allOf": [node, self._without_name(kind, field.metadata["default"])]}
            may_be_null = not field.metadata.get("many") and type(None) in typing.get_args(hint)
            schema = {"type": "array", "items": node} if "many" in field.metadata else node
            schema = {"anyOf": [schema, {"type": "null"}]} if may_be_null else schema
            default = field.metadata["default"] or MISSING
        about: Schema = {"description": field.metadata["help"]} if field.metadata.get("help") else {}
        if default is not MISSING and default != float("inf"):
            about["default"] = to_plain(default)
        # beside a reference other keys are not read
        return {**about, "allOf": [schema]} if about and "$ref" in schema else {**about, **schema}

    def _of(self, hint: Any, metadata: Mapping[str, Any]) -> Schema:
        """The schema of an annotation; bounds hold for the items of lists and mappings."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            return {"anyOf": [self._of(argument, metadata) for argument in arguments]}
        if origin is typing.Literal:
            return {"enum": list(arguments)}
        if origin is tuple and arguments[-1] is Ellipsis:
            return {"type": "array", "items": self._of(arguments[0], metadata)}
        if origin is tuple:
            items = [self._of(argument, metadata) for argument in arguments]
            return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self._of(arguments[1], metadata)}
        if hint is type(None):
            return {"type": "null"}
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self._named(f"{hint.__module__}.{hint.__qualname__}", lambda: self._nested(hint))
        if hint not in _SCALARS:
            return {}
        schema = dict(_SCALARS[hint])
        if hint in (int, float):
            schema |= {word: metadata[name] for name, word in _BOUNDS.items() if name in metadata}
        if "choices" in metadata:
            schema["enum"] = list(metadata["choices"])
        return schema

    def _nested(self, cls: type[Any]) -> Schema:
        return self.options(cls) | {"type": ["object", "null"]}  # an empty section is one of defaults

    def _component(self, kind: str, cls: type[Component]) -> Schema:
        """A component of a kind: its name, or a mapping whose ``config`` is that of the name."""
        beside = "" if cls is Component else f"+{cls.__module__}.{cls.__qualname__}"
        return self._named(f"{kind}{beside}", lambda: self._of_kind(kind, cls))

    def _without_name(self, kind: str, default: object) -> Schema:
        """The schema of a component's mapping without a name: the default's, or an error where there is none."""
        nameless = {"type": "object", "not": {"required": ["name"]}}
        of_default = isinstance(default, str) and {"properties": {"config": self._config(kind, default)}}
        return {"if": nameless, "then": of_default}

    def _of_kind(self, kind: str, cls: type[Component]) -> Schema:
        summaries = registry.summaries(kind)
        names = {"oneOf": [{"const": name, "description": text} for name, text in summaries.items()]}
        beside = self.properties(cls, leave_out=("name", "config"))
        chosen = [
            {
                "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
                "then": {"properties": {"config": self._config(kind, name)}},
            }
            for name in summaries
        ]
        mapping = {
            "type": "object",
            "additionalProperties": False,
            "properties": {"name": names, "config": {}, **beside},
            "allOf": chosen,
        }
        return {"anyOf": [names, mapping]}

    def _config(self, kind: str, name: str) -> Schema:
        config = registry.get(kind, name).config
        if config is None:
            return {"type": ["object", "null"], "maxProperties": 0}
        return self._named(f"{kind}.{name}", lambda: self._nested(config))

    def _named(self, name: str, make: typing.Callable[[], Schema]) -> Schema:
        """A reference to a definition, which is added first where it is missing."""
        key = f"{name}, in part" if self._partial else name
        if key not in self.schemas:
            self.schemas[key] = {}  # dataclasses may hold themselves
            self.schemas[key] = make()
        return {"$ref": f"#/definitions/{key}"}
