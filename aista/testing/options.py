"""Contracts on the options of any component: declared, documented, and written back unchanged."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from aista.plain import to_plain
from aista.registry import Entry
from aista.schema import Options, required_options, structure

__all__ = ["CHECKS", "check_documented", "check_frozen_options", "check_options_round_trip"]


def check_documented(entry: Entry) -> None:
    """The component has a docstring and each option a meaning."""
    assert inspect.getdoc(entry.factory), f"{entry.origin} has no docstring; aista show prints it"
    silent = [field.name for field in entry.options if not field.metadata.get("help")]
    assert not silent, f"options without a meaning: {', '.join(silent)}; declare them with aista.schema.option"


def check_frozen_options(entry: Entry) -> None:
    """The options dataclass is frozen, and checks its bounds when made in Python."""
    if entry.config is not None:
        parameters = vars(entry.config)["__dataclass_params__"]
        assert parameters.frozen, f"{entry.config.__name__} must be a frozen dataclass, for a config never changes"
        assert issubclass(entry.config, Options), f"{entry.config.__name__} must derive from aista.schema.Options"


def check_options_round_trip(entry: Entry) -> None:
    """The defaults are within their bounds, and are unchanged after writing and reading."""
    if entry.config is None or required_options(entry.config):
        return
    defaults = structure(entry.config, {}, source="defaults")
    again = structure(entry.config, to_plain(defaults), source="defaults")
    assert again == defaults, f"the defaults change when written and read again: {defaults} became {again}"


CHECKS: tuple[Callable[[Entry], None], ...] = (check_documented, check_frozen_options, check_options_round_trip)
