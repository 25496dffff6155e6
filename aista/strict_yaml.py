"""Strict, safe YAML: no duplicate keys, no surprises from YAML 1.1, faults with their line.

Differs from PyYAML's safe loader where that one surprises: ``1e-3`` is a number, ``no`` and ``on``
are texts (``no`` is a language code), ``010`` is ten, dates stay texts.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from aista.errors import ConfigError, Fault

__all__ = ["dump", "parse", "parse_value"]

_RESOLVERS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "null": (r"~|null|Null|NULL|", ("~", "n", "N", "")),
    "merge": (r"<<", "<"),
}


class _Loader(yaml.SafeLoader):
    """Builds only plain data: mappings, lists, texts, numbers, booleans and null."""


_Loader.yaml_implicit_resolvers = {}


class _Dumper(yaml.SafeDumper):
    """Writes what ``_Loader`` reads back unchanged; texts that YAML 1.1 would misread are quoted too."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _construct_int(loader: _Loader, node: ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))


def _represent_text(dumper: _Dumper, text: str) -> ScalarNode:
    style = '"' if set(text) & set("\r\x85\u2028\u2029") else None  # other styles fold these line breaks
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


for _tag, (_pattern, _first) in _RESOLVERS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Dumper.add_representer(str, _represent_text)


def parse(text: str, source: str) -> Any:
    """Parse one YAML document.

    Raises:
        ConfigError: bad syntax, a duplicate key (all of them), an alias to its own parent; each with
            ``source`` and line.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        faults: list[Fault] = []
        _check(node, "", source, faults, [])
        if faults:
            raise ConfigError(faults, source)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ConfigError([_fault(error, source)], source) from None
    except (RecursionError, ValueError, OverflowError) as error:
        raise ConfigError([Fault(source, f"not valid YAML: {error}")], source) from None
    finally:
        if loader is not None:
            loader.dispose()


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


def _check(node: Node, at: str, source: str, faults: list[Fault], parents: list[Node]) -> None:
    line = node.start_mark.line + 1
    if any(node is parent for parent in parents):
        faults.append(Fault(f"{source}:{line}", f"{at or 'the top level'} contains itself through an alias"))
        return
    parents = [*parents, node]
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            _check(item, f"{at}[{index}]", source, faults, parents)
    if not isinstance(node, MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode):
            faults.append(Fault(f"{source}:{line}", "a key must be a plain word, got a list or mapping"))
            continue
        place = f"{at}.{key.value}" if at else str(key.value)
        if key.value in first:
            problem = f"key {place!r} is given twice, first in line {first[key.value]}"
            faults.append(Fault(f"{source}:{line}", problem, "keep one of them"))
        first.setdefault(key.value, line)
        _check(value, place, source, faults, parents)


def _fault(error: yaml.YAMLError, source: str) -> Fault:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = f"{source}:{mark.line + 1}" if mark is not None else source
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    remedy = ""
    if "'\\t'" in problem:
        remedy = "indent with spaces, not tabs"
    elif "could not determine a constructor" in problem:
        remedy = "tags are not allowed: configs hold plain data only"
    elif "mapping values are not allowed" in problem:
        remedy = "quote texts that contain ': ' and check the indentation"
    return Fault(place, " ".join(f"not valid YAML: {problem}".split()), remedy)
