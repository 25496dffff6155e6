"""Atomic writes (a reader sees the old file or the new one, never half of either), messages of OS errors, hashes."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aista.errors import RunError

__all__ = [
    "DAY",
    "explain",
    "hash_file",
    "leftover_pattern",
    "leftover_prefix",
    "refusals",
    "remove_leftovers",
    "replacing",
    "replacing_folder",
    "require_writable",
    "write_json",
    "write_text",
]

DAY = 86_400.0
"""Seconds without a change after which another process's temporary file counts as left behind."""

_DENIED = "this user lacks the permission: have it changed, or choose another place"
_FULL = "make room there, or choose another disk"
_NETWORK = "the disk or its network failed: make sure that it is available again, then repeat the command"
_REMEDIES = {
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: "choose a place on a file system that can be written",
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "raise the largest size of a file (`ulimit -f`), or choose another disk",
    errno.EMFILE: "raise the number of open files of a process (`ulimit -n`)",
    errno.ENFILE: "close other programs, or raise the number of open files of the system (`sysctl fs.file-max`)",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "check the path",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "a part of the path is a file: choose another path",
    errno.EEXIST: "move away what is there, or choose another path",
    errno.ENOTEMPTY: "move away what is there, or choose another path",
    errno.ELOOP: "its symbolic links lead in a circle: remove one of them",
    errno.ESTALE: _NETWORK,
    errno.EIO: _NETWORK,
    errno.ENOMEM: "end other programs, or ask for less at a time",
}


def explain(error: OSError | ValueError, path: Path | None = None, doing: str = "used") -> str:
    """Explain an error of the operating system on one line: the place, the reason and the remedy.

    Args:
        error: The error; Python raises a ValueError for a path with a NUL byte.
        path: The file concerned, where the error does not name it.
        doing: What could not be done, as in "cannot be written".
    """
    place = getattr(error, "filename2", None) or getattr(error, "filename", None) or path  # of a copy, where it goes
    shown = f"{os.fsdecode(place)}: cannot be {doing}: " if isinstance(place, (str, bytes, os.PathLike)) else ""
    if isinstance(error, ValueError):
        reason, remedy = str(error), "choose another name"
    else:
        reason = error.strerror or str(error) or type(error).__name__
        remedy = _REMEDIES.get(error.errno or 0, "check the path and its disk, then repeat the command")
    return " ".join(f"{shown}{reason}; {remedy}".split())


@contextmanager
def refusals(doing: str, path: Path) -> Iterator[None]:
    """Turn an error of the operating system in the block, such as a full disk, into a RunError (see ``explain``)."""
    try:
        yield
    except OSError as error:
        raise RunError(explain(error, path, doing)) from error
    except ValueError as error:
        if "\0" not in str(path):
            raise
        raise RunError(explain(error, path, doing)) from error


def require_writable(path: Path) -> None:
    """Raise RunError unless a file or folder can be written there; call it early in a command that writes at its end.

    Nothing is left behind; folders that are missing on the way are made by the write itself.
    """
    with refusals("written", path):
        target = _target(path)
        folder, missing = target, list[str]()
        while not folder.is_dir():
            missing.append(folder.name)
            folder = folder.parent
        for part in (target, *(folder / name for name in missing)):
            with suppress(FileNotFoundError):
                part.lstat()  # refuses a file on the way, and a name that is too long
        if target.is_dir() or target.is_file() or not target.exists():
            trial = folder / (missing or ["file"])[-1]
            with _named(target, trial), _temporary(trial) as temporary, temporary.open("wb") as stream:
                stream.write(b"0")  # a full disk takes a name and no byte


def leftover_prefix(name: str) -> str:
    """Prefix of the temporary names of ``name`` while it is written; a killed process leaves one behind."""
    return f".{name}."


def leftover_pattern(name: str = "*") -> str:
    """The pattern, for ``glob``, of such names; ``name`` may be a pattern itself."""
    return f"{leftover_prefix(name)}{8 * '[0-9a-f]'}"


def remove_leftovers(folder: Path, *names: str, older_than: float = 0.0) -> None:
    """Remove from a folder the temporary files and folders of these names that killed processes left behind.

    Args:
        folder: Folder that they were written to.
        names: Their names, or patterns of ``glob`` for them.
        older_than: Minimum seconds since the last change; 0 only under a lock, when no other process writes there.
    """
    for name in names:
        for path in folder.glob(leftover_pattern(name)):
            with suppress(FileNotFoundError):  # moved into place since
                if time.time() - path.stat().st_mtime < older_than:
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there if the block succeeds, remove it if not.

    A new file has the mode that the umask leaves, an old one keeps its own; a symbolic link stays, and its target
    is replaced. A path that is neither file nor folder, such as /dev/stdout, is written to directly.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    target = _target(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(target) as temporary:
        mode = _mode(target if target.exists() else temporary)
        yield temporary
        if _mode(temporary) != mode:
            temporary.chmod(mode)
        os.replace(temporary, target)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path`` that takes its place if the block succeeds, and is removed if not.

    Modes and symbolic links are treated as ``replacing`` does.
    """
    target = _target(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target.parent, glob.escape(target.name), older_than=DAY)
    temporary = _temporary_name(target)
    with _named(target, temporary / "new"):
        try:
            folder = temporary / "new"
            folder.mkdir(parents=True)
            if target.is_dir():
                folder.chmod(_mode(target))
            yield folder
            _move(folder, target, temporary / "old")
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _target(path: Path) -> Path:
    """The file that a write to ``path`` reaches through all symbolic links; it need not exist."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _temporary_name(target: Path) -> Path:
    return target.with_name(f"{leftover_prefix(target.name)}{secrets.token_hex(4)}")


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """An empty file beside ``target`` with the mode that the umask leaves (tempfile's are for their owner alone)."""
    temporary = _temporary_name(target)
    with _named(target, temporary):
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield temporary
        finally:
            with suppress(OSError):  # moved into place, or its disk is gone: the block's own error counts
                temporary.unlink()


@contextmanager
def _named(target: Path, temporary: Path) -> Iterator[None]:
    """Make errors of the operating system name the target, not its temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and not isinstance(error.filename, int):
            name = os.fsdecode(error.filename2 or error.filename or temporary)
            error.filename, error.filename2 = name.replace(str(temporary), str(target), 1), None
        raise


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
