"""Command-line arguments from declared options of dataclasses, and for metrics."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from aista.cli.arguments import whole
from aista.errors import ConfigError, shown
from aista.schema import Component, Options, resolve, structure

__all__ = [
    "add_change_arguments",
    "add_metric_argument",
    "add_option_arguments",
    "read_changes",
    "read_metrics",
    "read_options",
]

OptionsT = TypeVar("OptionsT", bound=Options)


def add_option_arguments(parser: argparse.ArgumentParser, cls: type[Options]) -> None:
    """Add an argument for each option of a dataclass, all with a default: ``--max-size`` for ``max_size``."""
    for field in fields(cls):  # type: ignore[arg-type]
        meaning = field.metadata["help"] + (f" (default: {field.default})" if field.default != "" else "")
        parser.add_argument(_flag(field.name), type=_type(field.default), default=field.default, help=meaning)


def add_change_arguments(parser: argparse.ArgumentParser, cls: type[Options]) -> None:
    """Add an argument for each option of a dataclass; the default is the run's value."""
    for field in fields(cls):  # type: ignore[arg-type]
        meaning, kind = f"{field.metadata['help']} (default: the run's)", field.metadata.get("kind")
        if kind is None:
            given: dict[str, Any] = {"type": _type(field.default)}
        else:
            given = {"type": _component, "metavar": str(kind).upper()}
            meaning = meaning.replace("(default", "A name, {name: ..., config: {...}}, or none (default")
        parser.add_argument(_flag(field.name), default=argparse.SUPPRESS, help=meaning, **given)


def read_changes(args: argparse.Namespace, cls: type[Options]) -> dict[str, Any]:
    """The given arguments of ``add_change_arguments``. Raises ConfigError naming all values out of bounds."""
    names = [field.name for field in fields(cls) if hasattr(args, field.name)]  # type: ignore[arg-type]
    changed = _structure(cls, {name: getattr(args, name) for name in names})
    return {name: getattr(changed, name) for name in names}


def read_options(args: argparse.Namespace, cls: type[OptionsT]) -> OptionsT:
    """The options of ``add_option_arguments``. Raises ConfigError naming all values out of bounds."""
    return _structure(cls, {field.name: getattr(args, field.name) for field in fields(cls)})  # type: ignore[arg-type]


def _structure(cls: type[OptionsT], values: dict[str, Any]) -> OptionsT:
    try:
        return structure(cls, values)
    except ConfigError as error:
        faults = [replace(fault, path=_flag(fault.path)) for fault in error.faults]
        raise ConfigError(faults, "command line") from None


def _type(default: Any) -> Callable[[str], Any]:
    return whole() if type(default) is int else type(default)


def _component(text: str) -> Any:
    """A component's node as in a config; ``none`` gives None."""
    from aista.strict_yaml import parse_value

    try:
        return None if text == "none" else parse_value(text)
    except ValueError as error:
        rule = "a name, or {name: ..., config: {...}}"
        raise argparse.ArgumentTypeError(f"must be {rule}, got {shown(text)}: {error}") from None


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def add_metric_argument(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--metric``, which may be given several times; ``read_metrics`` reads it."""
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="METRIC",
        help=f"a name, or {{name: chrf, config: {{word_order: 2}}}}; may be given several times (default: {default})",
    )


def read_metrics(args: argparse.Namespace, default: Sequence[str] = ()) -> list[Component]:
    """The components that ``--metric`` names. Raises ConfigError for one that is unknown or has wrong options."""
    from aista.config import apply_overrides

    values = [apply_overrides({}, [f"metric={text}"])["metric"] for text in args.metric or default]
    return [resolve("metric", value, at="--metric", source="command line") for value in values]
