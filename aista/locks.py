"""File locks: only one process at a time writes to a place. The system releases the lock of a killed process."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aista.errors import RunError
from aista.files import require_writable

__all__ = ["is_locked", "locked"]

log = logging.getLogger("aista.locks")

_SHOWN = 200  # characters of a command
_TRIES = 5  # another process' `is_locked` holds the lock for a moment
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_held: set[int] = set()


def _let_go_in_child() -> None:
    """Close inherited locks in a forked process, which would otherwise hold them after its parent's death."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def locked(file: Path, place: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock while the block runs.

    Its file is removed afterwards, and so are empty folders made for it. Where the file system has no locks, a warning
    says so and the block runs without one.

    Args:
        file: The lock file.
        place: The path that it guards, for the message.
        wait: Wait while another process holds the lock.

    Raises:
        RunError: another process holds it (the message says which, where and since when), or the file cannot be
        written.
    """
    require_writable(file.parent)
    made = [folder for folder in file.parents if not folder.exists()]
    descriptor = _acquire(file, place, wait=wait)
    _held.add(descriptor)
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink()  # before it is freed, or another process' file would go
            for folder in made:
                folder.rmdir()  # stops at the first that the block wrote into
        _held.discard(descriptor)
        os.close(descriptor)


def is_locked(file: Path) -> bool:
    """Whether some process holds the lock."""
    try:
        with file.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no file, or no locks
    return False


def _acquire(file: Path, place: Path, *, wait: bool) -> int:
    """Lock the file and return its descriptor; retries where the previous holder has removed the file."""
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, wait=wait)
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                break
        except FileNotFoundError:
            pass
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise RunError(
                f"{place}: in use by {holder}; wait until it ends, or end it, then repeat the command"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            message = "%s: its file system has no locks (%s): make sure that no other process writes to it"
            log.warning(message, place, error)
            break
        os.close(descriptor)
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    shown = command if len(command) <= _SHOWN else f"{command[:_SHOWN]}..."
    record = {"process": os.getpid(), "host": platform.node(), "since": time.strftime("%F %T"), "command": shown}
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(record).encode())
    return descriptor


def _lock(descriptor: int, *, wait: bool) -> None:
    """Raises BlockingIOError where another process holds the lock and this one is not to wait."""
    how = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
    for _ in range(_TRIES - 1):
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, how)
        time.sleep(0.02)
    fcntl.flock(descriptor, how)


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 1 << 16, 0))
        return "process {process} on {host} since {since} ({command})".format(**holder)
    except (ValueError, LookupError, TypeError):  # the holder has not written its record yet
        return "another process"
