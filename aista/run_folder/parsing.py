"""Reads the JSON of a run folder, with errors that name the file and the command that makes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aista.errors import RunError

__all__ = ["existing", "parsing", "read_object", "require_mapping"]


def existing(file: Path, command: str) -> Path:
    """The file itself. Raises RunError where it is missing; names the command that makes it."""
    if not file.is_file():
        raise RunError(f"{file}: missing; `{command}` makes it")
    return file


def read_object(file: Path, command: str) -> dict[str, Any]:
    """The JSON object in a file. Raises RunError where it is missing or holds none."""
    try:
        data = json.loads(existing(file, command).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{file}: not JSON ({error}); `{command}` makes it anew") from error
    return require_mapping(data, file)


def require_mapping(data: Any, file: Path) -> dict[str, Any]:
    """The data itself. Raises RunError where it is no mapping."""
    if not isinstance(data, dict):
        raise RunError(f"{file}: expects a mapping, got {type(data).__name__}")
    return data


@contextmanager
def parsing(file: Path) -> Iterator[None]:
    """Turn a missing or mistyped key into a RunError that names the file."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise RunError(f"{file}: incomplete or malformed ({type(error).__name__}: {error})") from error
