"""Differences between runs: nested facts side by side, and configs with differing lines marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import yaml

__all__ = ["differing", "flat", "marked_yaml", "side_by_side"]


def flat(data: Any, prefix: str = "") -> dict[str, str]:
    """Nested mappings and lists as path -> text, e.g. ``alignment[0].name`` -> ``ot``."""
    items: list[tuple[str, Any]] = []
    if isinstance(data, Mapping):
        items = [(f"{prefix}.{key}" if prefix else str(key), value) for key, value in data.items()]
    elif isinstance(data, list):
        items = [(f"{prefix}[{index}]", value) for index, value in enumerate(data)]
    if not items:
        return {prefix: _text(data)}
    return {path: text for key, value in items for path, text in flat(value, key).items()}


def differing(facts: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Paths whose values are not the same in all runs, in the order of their first appearance."""
    paths = list(dict.fromkeys(path for values in facts.values() for path in values))
    return [path for path in paths if len({values.get(path) for values in facts.values()}) > 1]


def side_by_side(facts: Mapping[str, Mapping[str, str]], *, only_differing: bool = False) -> str:
    """A table with a row per path: one cell where all runs agree, else one per run, marked if unlike the first."""
    paths = list(dict.fromkeys(path for values in facts.values() for path in values))
    different = set(differing(facts))
    rows = []
    for path in paths:
        values = [run.get(path) for run in facts.values()]
        if path in different:
            cells = "".join(_cell(value, is_marked=value != values[0]) for value in values)
        elif only_differing:
            continue
        else:
            cells = f'<td colspan="{len(values)}">{escape(values[0] or "")}</td>'
        rows.append(f"<tr><th>{escape(path)}</th>{cells}</tr>")
    if not rows:
        return ""
    head = "".join(f"<th>{escape(label)}</th>" for label in facts)
    table = f'<table class="sides">\n<thead><tr><th></th>{head}</tr></thead>\n<tbody>\n' + "\n".join(rows)
    return f'<div class="scroll">{table}\n</tbody></table></div>'


def marked_yaml(text: str, paths: Sequence[str]) -> str:
    """The config as escaped HTML; lines that set one of ``paths`` are marked."""
    try:
        lines = {line for path, line in _lines(yaml.compose(text, Loader=yaml.SafeLoader)) if path in set(paths)}
    except yaml.YAMLError:
        lines = set()
    shown = (escape(line) for line in text.splitlines())
    return "\n".join(f"<mark>{line}</mark>" if number in lines else line for number, line in enumerate(shown))


def _lines(node: Any, prefix: str = "") -> list[tuple[str, int]]:
    items: list[tuple[str, Any]] = []
    if isinstance(node, yaml.MappingNode):
        items = [(f"{prefix}.{key.value}" if prefix else str(key.value), value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        items = [(f"{prefix}[{index}]", value) for index, value in enumerate(node.value)]
    if not items:
        return [(prefix, node.start_mark.line)] if node is not None else []
    return [line for key, value in items for line in _lines(value, key)]


def _cell(value: str | None, *, is_marked: bool) -> str:
    mark = ' class="differs"' if is_marked else ""
    return f"<td{mark}>{escape('(absent)' if value is None else value)}</td>"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
