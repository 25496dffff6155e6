"""Strict, safe YAML: plain data within bounds, no duplicate keys, no surprises from YAML 1.1, faults with their line.

Differs from PyYAML's safe loader where that one surprises: ``1e-3`` is a number, ``no`` and ``on``
are texts (``no`` is a language code), ``010`` is ten, dates stay texts, and so do all keys. Anchors, aliases and merge
keys work; what aliases repeat counts as if it were written out, so that no short file is a huge config.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.nodes import ScalarNode

from aista.convert import LARGEST, join
from aista.errors import ConfigError, Fault, shown

__all__ = ["MAX_DEPTH", "MAX_VALUES", "dump", "parse", "parse_value"]

MAX_VALUES = 250_000
"""Maximum number of values (texts, numbers, lists, mappings) in a document, counting what aliases repeat."""
MAX_DEPTH = 50
"""Maximum depth of nested lists and mappings, through aliases too."""

_RESOLVERS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "null": (r"~|null|Null|NULL|", ("~", "n", "N", "")),
    "merge": (r"<<", "<"),
}
_PLAIN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, (pattern, _) in _RESOLVERS.items()))


class _Dumper(yaml.SafeDumper):
    """Writes what ``parse`` reads back unchanged; texts that YAML 1.1 would misread are quoted too."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> ScalarNode:
    style = '"' if set(text) & set("\r\x85\u2028\u2029") else None  # other styles fold these line breaks
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


for _tag, (_pattern, _first) in _RESOLVERS.items():
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Dumper.add_representer(str, _represent_text)


def parse(text: str, source: str) -> Any:
    """Parse one YAML document.

    Raises:
        ConfigError: bad syntax, a duplicate key (all of them), a tag, an alias without an anchor, too many values or
            levels, a number beyond 64 bits; each with ``source`` and line.
    """
    try:
        reader = _Reader(text, source)
        data = reader.document()
    except _RefusedError as error:
        raise ConfigError([Fault(f"{source}:{error.line}", str(error))], source) from None
    except yaml.YAMLError as error:
        raise ConfigError([_fault(error, source)], source) from None
    except UnicodeEncodeError as error:
        raise ConfigError([Fault(source, f"not valid YAML: {error}")], source) from None
    if reader.faults:
        raise ConfigError(reader.faults, source)
    return data


def parse_value(text: str) -> Any:
    """Parse the value of an override. Raises ValueError with a one-line reason."""
    try:
        return parse(text, "value")
    except ConfigError as error:
        raise ValueError("; ".join(fault.problem for fault in error.faults)) from None


def dump(value: Any) -> str:
    """Plain data -> YAML, keys in their order."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


class _RefusedError(Exception):
    """Valid YAML, but not plain data within bounds."""

    def __init__(self, problem: str, event: Any) -> None:
        super().__init__(problem)
        self.line = event.start_mark.line + 1


class _Reader:
    """Builds mappings, lists, texts, numbers, booleans and null from libyaml's events."""

    def __init__(self, text: str, source: str) -> None:
        self.faults: list[Fault] = []
        self._source = source
        self._events = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._anchors: dict[str, tuple[Any, int, int]] = {}  # a value, how many values it holds, and how many levels
        self._values = self._level = self._deepest = 0

    def document(self) -> Any:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), StreamEndEvent):
            return None
        data = self._value(next(self._events), "")
        next(self._events)  # the document's end
        if not isinstance(after := next(self._events), StreamEndEvent):
            raise _RefusedError("a second document begins; a config holds one", after)
        return data

    def _value(self, event: Any, at: str) -> Any:
        if isinstance(event, AliasEvent):
            return self._alias(event)
        before, outside = self._values, self._deepest
        is_scalar = isinstance(event, ScalarEvent)
        self._values += 1
        self._level += not is_scalar
        self._deepest = self._level
        self._check(event)
        if is_scalar:
            value = _scalar(event)
        else:
            value = self._list(at) if isinstance(event, SequenceStartEvent) else self._mapping(at)
            self._level -= 1
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._values - before, self._deepest - self._level
        self._deepest = max(outside, self._deepest)
        return value

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise _RefusedError(f"the alias *{event.anchor} has no complete value &{event.anchor} before it", event)
        value, values, levels = self._anchors[event.anchor]
        self._values += values
        self._deepest = max(self._deepest, self._level + levels)
        self._check(event)
        return value

    def _check(self, event: Any) -> None:
        if getattr(event, "tag", None) is not None:
            raise _RefusedError(f"the tag {event.tag!r} is not allowed: configs hold plain data only", event)
        if self._deepest > MAX_DEPTH:
            raise _RefusedError(f"lists and mappings are nested more than {MAX_DEPTH} levels deep", event)
        if self._values > MAX_VALUES:
            raise _RefusedError(f"there are more than {MAX_VALUES:,} values, counting what aliases repeat", event)

    def _list(self, at: str) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._value(event, f"{at}[{len(items)}]"))
        return items

    def _mapping(self, at: str) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key, line, is_merge = _key(event)
            place = join(at, key)
            if key in lines:
                problem = f"key {place!r} is given twice, first in line {lines[key]}"
                self.faults.append(Fault(f"{self._source}:{line}", problem, "keep one of them"))
            lines.setdefault(key, line)
            value = self._value(next(self._events), place)
            if is_merge:
                merged = _merged(value, event)
            else:
                own[key] = value
        return merged | own


def _key(event: Any) -> tuple[str, int, bool]:
    """A key, its line, and whether it is a merge key."""
    line = event.start_mark.line + 1
    if not isinstance(event, ScalarEvent) or event.tag is not None or event.anchor is not None:
        raise _RefusedError("a key must be a plain word: no list, mapping, anchor, alias or tag", event)
    return event.value, line, event.value == "<<" and event.implicit[0]


def _merged(value: Any, event: Any) -> dict[str, Any]:
    """The mapping of a merge key; where several mappings hold the same key, the first gives its value."""
    mappings = value if isinstance(value, list) else [value]
    if not all(isinstance(mapping, dict) for mapping in mappings):
        raise _RefusedError(f"<< takes a mapping or a list of mappings, got {shown(value)}", event)
    return {key: item for mapping in reversed(mappings) for key, item in mapping.items()}


def _scalar(event: Any) -> Any:
    """A text; or what it stands for without quotes: a number, a boolean or null."""
    text = event.value
    match = _PLAIN.fullmatch(text) if event.implicit[0] else None
    kind = None if match is None else match.lastgroup
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return _whole(text, event)
    if kind == "float":
        value = float(re.sub(r"\.(?=[iInN])", "", text))
        if math.isinf(value) and "inf" not in text.lower():
            raise _RefusedError(f"{shown(text)} is too large for a number", event)
        return value
    return None if kind == "null" else text


def _whole(text: str, event: Any) -> int:
    try:
        value = int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
    except ValueError:  # Python reads no decimal number of thousands of digits
        value = LARGEST + 1
    if abs(value) > LARGEST:
        raise _RefusedError(f"whole numbers go up to {LARGEST}, got {shown(text)}", event)
    return value


def _fault(error: yaml.YAMLError, source: str) -> Fault:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = f"{source}:{mark.line + 1}" if mark is not None else source
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    remedy = ""
    if "cannot start any token" in problem:
        remedy = "indent with spaces, not tabs; quote texts that begin with @, % or a backtick"
    elif "mapping values are not allowed" in problem:
        remedy = "quote texts that contain ': ' and check the indentation"
    return Fault(place, " ".join(f"not valid YAML: {problem}".split()), remedy)
