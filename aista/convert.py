"""Plain values (from YAML) -> annotated Python types, strictly, collecting faults instead of raising.

Serves ``aista.schema``, which declares options and knows about components.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
import types
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from aista.errors import MAX_SHOWN, Fault, PluginError, shown
from aista.registry import nearest

__all__ = ["check_bounds", "check_keys", "convert", "is_optional", "join", "type_name"]

MAX_NAMED = 20  # unknown options of one mapping that a message names
MAX_NAME = 255  # bytes of a file name
MAX_PATH = 4095
LARGEST = 2**63 - 1  # of whole numbers, which become 64-bit integers

Nested = Callable[[type[Any], Any, str, list[Fault]], Any]
"""Converts a nested dataclass: ``(cls, data, at, faults) -> value``."""


def join(at: str, key: object) -> str:
    """The path of ``key`` under ``at``, for messages; a key that is too long for one is cut."""
    text = str(key)
    text = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
    return f"{at}.{text}" if at else text


def check_keys(
    data: Mapping[str, Any], known: Collection[str], at: str, faults: list[Fault], *, owner: str = "", remedy: str = ""
) -> None:
    """Report keys that are not options (of ``owner``); the first ``MAX_NAMED`` are named, the others counted."""
    unknown = [str(key) for key in data if key not in known]
    problem = f"unknown option{owner and f' of {owner}'}"
    remedy = f"known: {', '.join(known) or 'none'}{remedy}"
    for key in unknown[:MAX_NAMED]:
        faults.append(Fault(join(at, key), problem + nearest(key, known), remedy))
    if len(unknown) > MAX_NAMED:
        faults.append(Fault(at, f"{len(unknown) - MAX_NAMED:,} more unknown options"))


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
        PluginError: options may not have this annotation (a mistake of the component's author).
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is object:
        return data
    if origin in (typing.Union, types.UnionType):
        return _union(hint, data, at, faults, nested)
    if origin is typing.Literal:
        if not any(type(data) is type(argument) and data == argument for argument in arguments):
            faults.append(Fault(at, f"expects one of {', '.join(map(repr, arguments))}, got {shown(data)}"))
        return data
    if origin is tuple:
        return _tuple(arguments, data, at, faults, nested)
    if origin in _MAPPINGS:
        if not isinstance(data, Mapping):
            faults.append(Fault(at, f"expects a mapping, got {shown(data)}"))
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
    faults.extend(attempt if len(options) == 1 else [Fault(at, f"expects {type_name(hint)}, got {shown(data)}")])
    return None


def _tuple(arguments: tuple[Any, ...], data: Any, at: str, faults: list[Fault], nested: Nested) -> Any:
    if not isinstance(data, (list, tuple)):
        faults.append(
            Fault(at, f"expects a list, got {shown(data)}", f"write [{shown(data)}]" if data is not None else "")
        )
        return ()
    variadic = len(arguments) == 2 and arguments[1] is Ellipsis
    if not variadic and len(data) != len(arguments):
        faults.append(Fault(at, f"expects {len(arguments)} items, got {len(data)}: {shown(list(data))}"))
        return ()
    hints = (arguments[0],) * len(data) if variadic else arguments
    pairs = enumerate(zip(hints, data, strict=True))
    return tuple(convert(hint, item, f"{at}[{index}]", faults, nested) for index, (hint, item) in pairs)


def _scalar(hint: Any, data: Any, at: str, faults: list[Fault]) -> Any:
    if hint is float:
        number = _float(data)
        if number is not None and not math.isnan(number):
            return number
        faults.append(Fault(at, f"expects a number, got {shown(data)}"))
        return None
    remedy = ""
    if hint is Path and isinstance(data, (str, Path)):
        remedy = _path_rule(str(data))
        if not remedy:
            return Path(data)
    elif hint is int and not isinstance(data, bool) and isinstance(data, numbers.Integral):
        if abs(int(data)) <= LARGEST:
            return int(data)
        remedy = f"at most {LARGEST}"
    elif hint is not int and isinstance(data, hint):
        return data
    elif hint is str and isinstance(data, (int, float)):
        remedy = f'quote it: "{shown(data)}"'
    faults.append(Fault(at, f"expects {_WORDS[hint]}, got {shown(data)}", remedy))
    return None


def _path_rule(path: str) -> str:
    """The rule that a path breaks, or an empty string."""
    if not path:
        return "it must not be empty"
    if "\0" in path:
        return "it must not contain the character NUL"
    if len(os.fsencode(path)) > MAX_PATH:
        return f"paths have at most {MAX_PATH} bytes"
    longest = max(len(os.fsencode(part)) for part in path.split(os.sep))
    return f"names have at most {MAX_NAME} bytes" if longest > MAX_NAME else ""


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
        faults.append(Fault(at, f"expects one of {known}, got {shown(value)}"))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    if isinstance(value, float) and math.isinf(value) and metadata.get("finite", True):
        faults.append(Fault(at, f"must be finite, got {value!r}"))
        return
    if "minimum" in metadata and value < metadata["minimum"]:
        faults.append(Fault(at, f"must be at least {metadata['minimum']}, got {shown(value)}"))
    if "maximum" in metadata and value > metadata["maximum"]:
        faults.append(Fault(at, f"must be at most {metadata['maximum']}, got {shown(value)}"))
    if "above" in metadata and not value > metadata["above"]:
        faults.append(Fault(at, f"must be greater than {metadata['above']}, got {shown(value)}"))
    if "below" in metadata and not value < metadata["below"]:
        faults.append(Fault(at, f"must be less than {metadata['below']}, got {shown(value)}"))
