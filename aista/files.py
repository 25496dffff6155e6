"""Atomic writes (a reader sees the old file or the new one, never half of either), and hashes of contents."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = [
    "hash_file",
    "leftover_pattern",
    "leftover_prefix",
    "replacing",
    "replacing_folder",
    "write_json",
    "write_text",
]


def leftover_prefix(name: str) -> str:
    """Prefix of the temporary names of ``name`` while it is written; a killed process leaves one behind."""
    return f".{name}."


def leftover_pattern(name: str = "*") -> str:
    """The pattern, for ``glob``, of such names; ``name`` may be a pattern itself."""
    return f"{leftover_prefix(name)}{8 * '?'}"  # tempfile adds eight characters


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there if the block succeeds, remove it if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=leftover_prefix(path.name), dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path`` that takes its place if the block succeeds, and is removed if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=leftover_prefix(path.name), dir=path.parent))
    try:
        folder = temporary / "new"
        folder.mkdir()
        yield folder
        _move(folder, path, temporary / "old")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move(folder: Path, path: Path, aside: Path) -> None:
    """Rename ``folder`` to ``path``; what was there goes aside, and comes back if that fails."""
    is_replacing = path.exists()
    if is_replacing:
        os.rename(path, aside)
    try:
        os.rename(folder, path)
    except OSError:
        if is_replacing:
            os.rename(aside, path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, making the folder if need be."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON atomically. Non-finite numbers are refused (ValueError): JSON has none."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 24):
            digest.update(piece)
    return digest.hexdigest()
