"""SHA-256 of state files: recorded when they are written, compared before they are read."""

from __future__ import annotations

from pathlib import Path

from aista.errors import RunError
from aista.files import hash_file

__all__ = ["require_intact"]


def require_intact(file: Path, sha256: str, remedy: str) -> None:
    """Compare a file with its recorded SHA-256.

    Raises:
        RunError: the file is missing or differs; ends with ``remedy``.
        OSError: it cannot be read.
    """
    if not file.is_file():
        raise RunError(f"{file}: missing; {remedy}")
    actual = hash_file(file)
    if actual != sha256:
        raise RunError(f"{file}: damaged: its SHA-256 is {actual}, but {sha256} was written; {remedy}")
