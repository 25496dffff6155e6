"""The file events of this process below a folder, each with a name; at one of them the process can be killed."""

from __future__ import annotations

import builtins
import io
import os
import re
import threading
from collections import Counter
from pathlib import Path

KILLED = 137
_CHANGES = ("mkdir", "rename", "replace", "unlink", "remove", "rmdir", "truncate", "chmod")
_RANDOM = re.compile(r"(?<=\.)[a-z0-9_]{8}(?=/|$)|[0-9a-f]{32}")  # of tempfile and uuid


class FileEvents:
    """Names what happens below a folder: ``KIND PATH COUNT``, e.g. ``write run/metrics/train.jsonl 2``.

    Kinds are functions of ``os`` that change a folder or a file, and of a file that is open for writing: ``open``
    (nothing done yet), ``write`` (half of the first data written) and ``close`` (what is in the buffer not written).
    The names are the same in every run, in whatever order threads come to them.

    Args:
        folder: Events elsewhere are none.
        fatal: The event at which the process ends as by SIGKILL; "" for none.
    """

    def __init__(self, folder: Path, fatal: str = "") -> None:
        self.names: list[str] = []
        self._folder = f"{folder.resolve()}{os.sep}"
        self._fatal = fatal
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def watch(self) -> None:
        """Begin; there is no end: call it in a process of its own."""
        for name in _CHANGES:
            setattr(os, name, self._changing(name, getattr(os, name)))
        os.fsync = self._syncing(os.fsync)
        os.open = self._creating(os.open)
        builtins.open = io.open = self._opening(builtins.open)

    def note(self, kind: str, path: object, descriptor: int | None = None) -> bool:
        """Take note of an event; return whether it is the fatal one. What changes nothing is none."""
        whole = self._whole(path, descriptor)
        if whole is None or (kind != "open" and os.path.lexists(whole) == (kind == "mkdir")):
            return False
        with self._lock:
            event = f"{kind} {_RANDOM.sub('*', whole.removeprefix(self._folder))}"
            self._counts[event] += 1
            name = f"{event} {self._counts[event]}"
            self.names.append(name)
        return name == self._fatal

    def _whole(self, path: object, descriptor: int | None = None) -> str | None:
        """The absolute path if it lies below the folder."""
        try:
            base = "" if descriptor is None else os.readlink(f"/proc/self/fd/{descriptor}")
            whole = os.path.abspath(os.path.join(base, os.fsdecode(path)))
        except (TypeError, OSError):
            return None  # an open file's number
        return whole if whole.startswith(self._folder) else None

    def _changing(self, name: str, function):
        def change(path, *args, dir_fd=None, **options):
            if self.note(name, path, dir_fd):
                os._exit(KILLED)
            if dir_fd is not None:
                options["dir_fd"] = dir_fd
            return function(path, *args, **options)

        return change

    def _creating(self, function):
        def create(path, flags, *args, dir_fd=None):
            if flags & os.O_CREAT and self.note("open", path, dir_fd):
                os._exit(KILLED)
            return function(path, flags, *args, dir_fd=dir_fd)

        return create

    def _syncing(self, function):
        def sync(descriptor):
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            if self.note("fsync", os.readlink(f"/proc/self/fd/{number}")):
                os._exit(KILLED)
            return function(descriptor)

        return sync

    def _opening(self, function):
        def open_(file, mode="r", *args, **options):
            if not set(mode) & set("wax+") or self._whole(file) is None:
                return function(file, mode, *args, **options)
            if self.note("open", file):
                os._exit(KILLED)
            return _Watched(function(file, mode, *args, **options), self, file)

        return open_


class _Watched:
    """A file that is open for writing."""

    def __init__(self, stream, events: FileEvents, path: object) -> None:
        self._stream, self._events, self._path = stream, events, path
        self._is_new = True

    def write(self, data):
        if self._is_new and self._events.note("write", self._path):
            self._stream.write(data[: len(data) // 2])
            self._stream.flush()
            os._exit(KILLED)
        self._is_new = False
        return self._stream.write(data)

    def close(self):
        if not self._stream.closed and self._events.note("close", self._path):
            os._exit(KILLED)
        self._stream.close()

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def __iter__(self):
        return iter(self._stream)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
