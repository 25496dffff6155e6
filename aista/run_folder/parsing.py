"""Reads and writes the JSON of a run folder, with checksums: a changed file is an error that names it.

Each object, line of metrics and config has a checksum of its content. Content without a checksum is accepted: it was
written by hand, or by an earlier aista.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aista.errors import RunError
from aista.files import write_json

__all__ = [
    "existing",
    "parsing",
    "read_object",
    "require_mapping",
    "require_unedited",
    "sealed",
    "sealed_text",
    "unsealed",
    "write_object",
]

RESTORE = "restore it from a copy"
_SEAL = "checksum"
_SEALED_TEXT = re.compile(rb"# checksum ([0-9a-f]{16}) [^\n]*\n(.*)", re.DOTALL)


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with a checksum of its content, as ``unsealed`` expects it."""
    return {**record, _SEAL: _digest(_canonical(record))}


def unsealed(record: Any) -> dict[str, Any]:
    """A record without its checksum.

    Raises:
        TypeError: it is not a mapping.
        ValueError: its content has changed since it was written.
    """
    if not isinstance(record, dict):
        raise TypeError(f"expects a mapping, got {type(record).__name__}")
    content = {key: value for key, value in record.items() if key != _SEAL}
    if _SEAL in record and record[_SEAL] != _digest(_canonical(content)):
        raise ValueError("its checksum differs: the content has changed since it was written")
    return content


def sealed_text(text: str) -> str:
    """The text with a comment as first line that holds the checksum of the other lines."""
    return f"# checksum {_digest(text.encode())} of the lines below; to use them changed, remove this line\n{text}"


def require_unedited(file: Path) -> None:
    """Raise RunError where a file made by ``sealed_text`` has changed since it was written."""
    found = _SEALED_TEXT.fullmatch(file.read_bytes())
    if found and _digest(found[2]) != found[1].decode():
        raise RunError(
            f"{file}: not as aista wrote it (its checksum differs): damaged, or edited; restore it, or remove its "
            "first line, the checksum, to use it as it is"
        )


def write_object(file: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON object for ``read_object``, atomically."""
    write_json(file, sealed(data))


def existing(file: Path, command: str) -> Path:
    """Return the file; raises RunError where it is missing, naming the command that makes it, if there is one."""
    if not file.is_file():
        raise RunError(f"{file}: missing; " + (f"`{command}` makes it" if command else RESTORE))
    return file


def read_object(file: Path, command: str) -> dict[str, Any]:
    """Read the JSON object in a file. Raises RunError where it is missing (as ``existing``) or has changed."""
    with parsing(file, "; " + (f"`{command}` makes it anew" if command else RESTORE)):
        return unsealed(json.loads(existing(file, command).read_bytes()))


def require_mapping(data: Any, file: Path) -> dict[str, Any]:
    """Return the data; raises RunError unless it is a mapping."""
    if not isinstance(data, dict):
        raise RunError(f"{file}: expects a mapping, got {type(data).__name__}")
    return data


@contextmanager
def parsing(file: Path, remedy: str = "") -> Iterator[None]:
    """Turn any error about malformed content into a RunError that names the file."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise RunError(f"{file}: incomplete or malformed ({type(error).__name__}: {error}){remedy}") from error


def _canonical(record: Mapping[str, Any]) -> bytes:
    """A canonical JSON text, equal for records that are equal after writing and reading."""
    return json.dumps(json.loads(json.dumps(record)), sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
