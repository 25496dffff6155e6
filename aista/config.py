"""Config files as plain data: load, override, merge, write. ``aista.schema.structure`` types them.

A component node is ``{name: ..., config: {...}}``, or just its name. Options never outlive the
component they belong to: where an override or overlay gives a node another ``name``, the old
``config`` is dropped.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aista import strict_yaml
from aista.errors import ConfigError, Fault, shown
from aista.plain import to_plain

__all__ = ["apply_overrides", "differences", "dump_yaml", "load_yaml", "merge", "replace_nodes"]

Key = str | int
MAX_BYTES = 8_000_000
"""Maximum length of a config file; ``aista.strict_yaml`` limits its content."""
_STEP = re.compile(r"(?:^|\.)([A-Za-z_][\w-]*)|\[(\d+)\]")


def load_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a config file into plain data. An empty file is an empty config.

    Raises:
        ConfigError: no such file, too long, not UTF-8, bad syntax, duplicate keys (each with its line), or a
            top level that is not a mapping.
    """
    source = os.fspath(path)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Fault(source, f"cannot be read: {error.strerror}", "check the path")], source) from None
    if len(content) > MAX_BYTES:
        raise ConfigError([Fault(source, f"is longer than {MAX_BYTES:,} bytes", "name a config")], source)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(source, f"is not UTF-8 text: {error}", "save it as UTF-8")], source) from None
    data = strict_yaml.parse(text, source)
    if data is None:
        return {}
    if not isinstance(data, dict):
        problem = f"the top level must be a mapping of options, got {type(data).__name__}"
        raise ConfigError([Fault(f"{source}:1", problem, "write lines of the form 'key: value'")], source)
    return data


def dump_yaml(value: Any) -> str:
    """Write a dataclass or plain data as YAML, keys in declaration order; ``load_yaml`` reads it back."""
    return strict_yaml.dump(to_plain(value))


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """A deep merge of two configs; neither argument changes.

    Mappings merge key by key; everything else, lists too, is replaced. An overlay that gives a component
    another name replaces the whole node, so that options of the old component cannot remain.
    """
    merged = {key: copy.deepcopy(value) for key, value in base.items()}
    for key, value in overlay.items():
        merged[key] = _merge_node(merged.get(key), value)
    return merged


def apply_overrides(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Set ``path=value`` overrides, in order; ``data`` does not change.

    Paths are keys joined by dots with ``[i]`` for list items; values are YAML:

        a.b=1    alignment[0].config.solver={name: exact}    alignment=[]    optimizer.lr=1e-3

    - Mappings on the way that do not exist are made; ``[i]`` may be one past a list's end.
    - A component given as a plain name, ``encoder: conformer``, becomes ``{name: conformer}`` where
      ``encoder.config.x=1`` needs it.
    - ``encoder.name=whisper`` drops the ``encoder.config`` of another component, but keeps what other
      overrides set under ``encoder.config``, before or after it.

    Raises:
        ConfigError: every override with bad syntax or an impossible path, or that undoes an earlier one.
    """
    result: dict[str, Any] = copy.deepcopy(dict(data))
    faults: list[Fault] = []
    done: list[_Override] = []
    for text in overrides:
        try:
            override = _parse(text)
            _check_order(override, done)
            _apply(result, override, done)
            done.append(override)
        except ValueError as error:
            faults.append(Fault(f"override {text!r}", str(error)))
    if faults:
        raise ConfigError(faults, "overrides")
    return result


def replace_nodes(data: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the whole node at each path by a new one. ``data`` does not change.

    Paths are those of ``apply_overrides``, the values plain data.

    Raises:
        ConfigError: every impossible path.
    """
    result: dict[str, Any] = copy.deepcopy(dict(data))
    faults: list[Fault] = []
    for place, value in nodes.items():
        try:
            _apply(result, _Override(place, _parse_path(place), value), ())
        except ValueError as error:
            faults.append(Fault(place, str(error)))
    if faults:
        raise ConfigError(faults)
    return result


def differences(old: Any, new: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the differences of two configs: (path, old node, new node); ``(absent)`` stands for a missing key.

    A component with another name is one difference, and so is a list of another length.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping) and old.get("name") == new.get("name"):
        for key in dict.fromkeys([*old, *new]):
            place = f"{at}.{key}" if at else str(key)
            yield from differences(old.get(key, "(absent)"), new.get(key, "(absent)"), place)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, f"{at}[{index}]")
    elif old != new:
        yield at, old, new


def _parse_path(place: str) -> tuple[Key, ...]:
    """The keys of a path: ``alignment[0].weight`` -> ``("alignment", 0, "weight")``. Raises ValueError."""
    path: list[Key] = []
    end = 0
    for step in _STEP.finditer(place):
        if step.start() != end:
            break
        path.append(step[1] if step[1] is not None else int(step[2]))
        end = step.end()
    if not path or end != len(place) or isinstance(path[0], int):
        raise ValueError(
            f"{place!r} is not a path; write keys joined by dots, list items as [0], e.g. alignment[0].weight"
        )
    return tuple(path)


@dataclass(frozen=True)
class _Override:
    text: str
    path: tuple[Key, ...]
    value: Any


def _parse(text: str) -> _Override:
    place, equals, value = text.partition("=")
    if not equals:
        raise ValueError("has no '='; write key=value, e.g. optimizer.lr=1e-3")
    path = _parse_path(place.strip())
    try:
        return _Override(text, path, strict_yaml.parse_value(value))
    except ValueError as error:
        raise ValueError(f"its value: {error}") from None


def _check_order(override: _Override, done: Sequence[_Override]) -> None:
    for earlier in done:
        if len(earlier.path) > len(override.path) and earlier.path[: len(override.path)] == override.path:
            raise ValueError(f"undoes the earlier {earlier.text!r}; give it first, or drop the other")


def _apply(root: dict[str, Any], override: _Override, done: Sequence[_Override]) -> None:
    path = override.path
    if path[-1] == "name" and len(path) > 1:
        node = _descend(root, path[:-1])
        if isinstance(node, dict) and node.get("name") != override.value and "config" in node:
            del node["config"]
            node["name"] = override.value
            for earlier in done:
                if earlier.path[: len(path)] == (*path[:-1], "config"):
                    _set(root, earlier)
    _set(root, override)


def _set(root: dict[str, Any], override: _Override) -> None:
    node = _descend(root, override.path[:-1], make=override.path[1:])
    key = override.path[-1]
    _check_step(node, override.path, len(override.path) - 1)
    if isinstance(node, list) and key == len(node):
        node.append(None)
    node[key] = copy.deepcopy(override.value)


def _descend(root: dict[str, Any], path: tuple[Key, ...], make: tuple[Key, ...] = ()) -> Any:
    """The node at ``path``; None if it does not exist and ``make`` (the keys one step on) is not given."""
    node: Any = root
    for depth, key in enumerate(path):
        if make:
            _check_step(node, path, depth)
        child = _child(node, key)
        if make:
            if isinstance(child, str) and isinstance(make[depth], str):
                child = {"name": child}
            elif child is None:
                child = [] if isinstance(make[depth], int) else {}
            if isinstance(node, list) and key == len(node):
                node.append(child)
            node[key] = child
        node = child
    return node


def _child(node: Any, key: Key) -> Any:
    if isinstance(node, dict):
        return node.get(key)
    if isinstance(node, list) and isinstance(key, int) and key < len(node):
        return node[key]
    return None


def _check_step(node: Any, path: tuple[Key, ...], depth: int) -> None:
    key, place = path[depth], _write(path[:depth])
    if isinstance(key, int) and not isinstance(node, list):
        raise ValueError(f"{place} is not a list but {shown(node)}")
    if isinstance(key, str) and not isinstance(node, dict):
        raise ValueError(f"{place} is not a mapping but {shown(node)}")
    if isinstance(key, int) and key > len(node):
        raise ValueError(f"{place} has {len(node)} items; the next one to set is [{len(node)}]")


def _write(path: Sequence[Key]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def _merge_node(base: Any, overlay: Any) -> Any:
    if isinstance(base, str) and isinstance(overlay, Mapping) and overlay.keys() & {"config", "tuning"}:
        base = {"name": base}
    if isinstance(base, Mapping) and isinstance(overlay, str) and base.get("name") == overlay:
        return base
    if not isinstance(base, Mapping) or not isinstance(overlay, Mapping):
        return copy.deepcopy(overlay)
    is_component = "name" in base or "config" in base
    if is_component and "name" in overlay and overlay["name"] != base.get("name"):
        return copy.deepcopy(dict(overlay))
    return merge(base, overlay)
