"""Options as plain data that YAML can write: all of them, or only those that identify the training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aista.schema import Component

__all__ = ["Keep", "changes_weights", "is_given", "to_plain"]

Keep = Callable[["dataclasses.Field[Any]", Any], bool]
"""``(field, value)`` -> whether the option is written."""


def changes_weights(field: dataclasses.Field[Any], value: Any) -> bool:
    """Whether an option can change the trained weights; one declared with ``weights=False`` cannot."""
    return bool(field.metadata.get("weights", True))


def is_given(field: dataclasses.Field[Any], value: Any) -> bool:
    """Whether an option can change the trained weights and differs from its default."""
    if field.default is not dataclasses.MISSING:
        is_default = value == field.default
    else:
        is_default = field.default_factory is not dataclasses.MISSING and value == field.default_factory()
    return changes_weights(field, value) and not is_default


def to_plain(value: Any, keep: Keep | None = None) -> Any:
    """The inverse of ``structure``: dataclasses, paths and tuples -> data that YAML can write.

    Args:
        value: Options, or what they may hold.
        keep: Decides which options of dataclasses are written; None writes all.
    """
    if isinstance(value, Component):
        config = {} if value.config is None else {"config": to_plain(value.config, keep)}
        return {"name": value.name, **_fields(value, keep, beside=("name", "config")), **config}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value, keep)
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, keep) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item, keep) for item in value]
    return str(value) if isinstance(value, Path) else value


def _fields(value: Any, keep: Keep | None, beside: tuple[str, ...] = ()) -> dict[str, Any]:
    fields = {field: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    return {
        field.name: to_plain(item, keep)
        for field, item in fields.items()
        if field.name not in beside and (keep is None or keep(field, item))
    }
