"""Plain values (from YAML) -> annotated Python types, strictly, collecting faults instead of raising.

Serves ``aista.schema``, which declares options and knows about components.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aista.errors import Fault, PluginError

__all__ = ["check_bounds", "convert", "is_optional", "join", "type_name"]

Nested = Callable[[type[Any], Any, str, list[Fault]], Any]
"""Converts a nested dataclass: ``(cls, data, at, faults) -> value``."""


def join(at: str, key: object) -> str:
    """The path of ``key`` under ``at``."""
    return f"{at}.{key}" if at else str(key)


def is_optional(hint: Any) -> bool:
    """Whether ``None`` is a value of the annotation."""
    return hint is Any or type(None) in typing.get_args(hint)


def type_name(hint: Any) -> str:
    """The annotation as a user reads it: ``float or 'mean'``, ``list of int``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(argument) for argument in arguments)
    if origin is typing.Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return f"list of {type_name(arguments[0])}"
    if origin is tuple:
        return f"list [{', '.join(map(type_name, arguments))}]"
    if origin in _MAPPINGS:
        return f"mapping of {type_name(arguments[1])}"
    return "null" if hint is type(None) else getattr(hint, "__name__", str(hint))


def convert(hint: Any, data: Any, at: str, faults: list[Fault], nested: Nested) -> Any:
    """Convert ``data`` to the annotation ``hint``; on a fault the returned value has no meaning.

    Raises:
        PluginError: the annotation itself is none that options may have (a mistake of the component's author).
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is object:
        return data
    if origin in (typing.Union, types.UnionType):
        return _union(hint, data, at, faults, nested)
    if origin is typing.Literal:
        if not any(type(data) is type(argument) and data == argument for argument in arguments):
            faults.append(Fault(at, f"expects one of {', '.join(map(repr, arguments))}, got {data!r}"))
        return data
    if origin is tuple:
        return _tuple(arguments, data, at, faults, nested)
    if origin in _MAPPINGS:
        if not isinstance(data, Mapping):
            faults.append(Fault(at, f"expects a mapping, got {data!r}"))
            return {}
        return {str(key): convert(arguments[1], item, join(at, key), faults, nested) for key, item in data.items()}
    if dataclasses.is_dataclass(hint):
        return nested(typing.cast(type[Any], hint), data, at, faults)
    if hint not in _SCALARS:
        raise PluginError(
            f"{at}: options cannot have the type {hint!r}; use {', '.join(kind.__name__ for kind in _SCALARS)}, "
            "Literal, tuple, dict, a dataclass, or a union of these"
        )
    return _scalar(hint, data, at, faults)


_SCALARS = (bool, int, float, str, Path)
_MAPPINGS = (dict, Mapping)


def _union(hint: Any, data: Any, at: str, faults: list[Fault], nested: Nested) -> Any:
    arguments = typing.get_args(hint)
    if data is None and type(None) in arguments:
        return None
    options = [argument for argument in arguments if argument is not type(None)]
    records = [option for option in options if dataclasses.is_dataclass(option)]
    if isinstance(data, Mapping) and len(records) == 1:
        return convert(records[0], data, at, faults, nested)  # its own faults say more than that nothing fits
    attempt: list[Fault] = []
    for argument in sorted(options, key=lambda option: type(data) is not option):  # an exact type match goes first
        attempt = []
        value = convert(argument, data, at, attempt, nested)
        if not attempt:
            return value
    faults.extend(attempt if len(options) == 1 else [Fault(at, f"expects {type_name(hint)}, got {data!r}")])
    return None


def _tuple(arguments: tuple[Any, ...], data: Any, at: str, faults: list[Fault], nested: Nested) -> Any:
    if not isinstance(data, (list, tuple)):
        faults.append(Fault(at, f"expects a list, got {data!r}", f"write [{data}]" if data is not None else ""))
        return ()
    variadic = len(arguments) == 2 and arguments[1] is Ellipsis
    if not variadic and len(data) != len(arguments):
        faults.append(Fault(at, f"expects {len(arguments)} items, got {len(data)}: {list(data)!r}"))
        return ()
    hints = (arguments[0],) * len(data) if variadic else arguments
    pairs = enumerate(zip(hints, data, strict=True))
    return tuple(convert(hint, item, f"{at}[{index}]", faults, nested) for index, (hint, item) in pairs)


def _scalar(hint: Any, data: Any, at: str, faults: list[Fault]) -> Any:
    if hint is float:
        number = _float(data)
        if number is not None and not math.isnan(number):
            return number
        faults.append(Fault(at, f"expects a number, got {data!r}"))
        return None
    if hint is Path and isinstance(data, (str, Path)):
        if str(data):
            return Path(data)
    elif hint is int and not isinstance(data, bool) and isinstance(data, numbers.Integral):
        return int(data)
    elif hint is not int and isinstance(data, hint):
        return data
    remedy = f'quote it: "{data}"' if hint is str and isinstance(data, (int, float)) else ""
    faults.append(Fault(at, f"expects {_WORDS[hint]}, got {data!r}", remedy))
    return None


_WORDS = {bool: "true or false", int: "a whole number", str: "a text", Path: "a path"}


def _float(data: Any) -> float | None:
    if isinstance(data, bool) or not isinstance(data, (numbers.Real, str)):
        return None
    try:
        return float(data)  # a plain YAML 1.1 reader hands over 1e-3 as a string
    except (ValueError, OverflowError):
        return None


def check_bounds(value: Any, metadata: Mapping[str, Any], at: str, faults: list[Fault]) -> None:
    """Check choices and numeric bounds, item by item in lists and mappings."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            check_bounds(item, metadata, f"{at}[{index}]", faults)
        return
    if isinstance(value, dict):
        for key, item in value.items():
            check_bounds(item, metadata, join(at, key), faults)
        return
    if value is not None and "choices" in metadata and value not in metadata["choices"]:
        known = ", ".join(repr(choice) for choice in metadata["choices"])
        faults.append(Fault(at, f"expects one of {known}, got {value!r}"))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    if "minimum" in metadata and value < metadata["minimum"]:
        faults.append(Fault(at, f"must be at least {metadata['minimum']}, got {value!r}"))
    if "maximum" in metadata and value > metadata["maximum"]:
        faults.append(Fault(at, f"must be at most {metadata['maximum']}, got {value!r}"))
    if "above" in metadata and not value > metadata["above"]:
        faults.append(Fault(at, f"must be greater than {metadata['above']}, got {value!r}"))
    if "below" in metadata and not value < metadata["below"]:
        faults.append(Fault(at, f"must be less than {metadata['below']}, got {value!r}"))
