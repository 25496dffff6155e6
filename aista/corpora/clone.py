"""Reads files of a git clone: of a work tree from disk, of a bare clone through git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Protocol

from aista.errors import DataError

__all__ = ["Clone", "open_clone"]


class Clone(Protocol):
    """A source of files, to close after use."""

    def close(self) -> None: ...

    def names(self, folder: str) -> list[str]:
        """Names of the files directly in ``folder``, sorted; empty if there is no such folder."""
        ...

    def read(self, path: str) -> bytes | None:
        """Contents of a file, or None if the clone lacks it."""
        ...


def open_clone(source: Path, folder: str) -> Clone:
    """Open the clone at ``source``, which must hold ``folder``.

    Raises:
        DataError: ``source`` is not such a clone.
    """
    if not source.is_dir():
        raise DataError(f"--from {source}: no such folder; give a clone of the corpus, bare or with a work tree")
    if (source / folder).is_dir():
        return _WorkTree(source)
    clone = _BareClone(source)
    if not clone.names(folder):
        raise DataError(f"--from {source}: its HEAD holds no {folder}/; is it a clone of this corpus?")
    return clone


class _WorkTree:
    """A clone with its files checked out, or an unpacked archive of it."""

    def __init__(self, source: Path) -> None:
        self._source = source

    def close(self) -> None:
        pass

    def names(self, folder: str) -> list[str]:
        path = self._source / folder
        return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []

    def read(self, path: str) -> bytes | None:
        file = self._source / path
        return file.read_bytes() if file.is_file() else None


class _BareClone:
    """A clone without a work tree; reads HEAD. Objects that it lacks are not fetched."""

    def __init__(self, source: Path) -> None:
        self._git = ["git", "-C", str(source)]
        self._place = f"--from {source}"
        # A git hook that runs us would otherwise point git at its own repository.
        inherited = {key: value for key, value in os.environ.items() if key not in ("GIT_DIR", "GIT_WORK_TREE")}
        self._environment = {**inherited, "GIT_NO_LAZY_FETCH": "1"}
        self._reader: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        if self._reader is not None:
            self._reader.communicate()
            self._reader = None

    def names(self, folder: str) -> list[str]:
        command = [*self._git, "ls-tree", "-z", "--full-tree", "--name-only", "HEAD", f"{folder}/"]
        try:
            done = subprocess.run(command, capture_output=True, env=self._environment, check=False)
        except FileNotFoundError:
            raise DataError(f"{self._place}: a bare clone needs git; install it or check the clone out") from None
        if done.returncode != 0:
            reason = done.stderr.decode(errors="replace").strip()
            raise DataError(f"{self._place}: neither a work tree with {folder}/ nor a readable git clone ({reason})")
        return sorted(path.removeprefix(f"{folder}/") for path in done.stdout.decode().split("\0") if path)

    def read(self, path: str) -> bytes | None:
        if self._reader is None:
            command = [*self._git, "cat-file", "--batch"]
            self._reader = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environment
            )
        questions, answers = self._reader.stdin, self._reader.stdout
        assert questions is not None
        assert answers is not None
        questions.write(f"HEAD:{path}\n".encode())
        questions.flush()
        header = answers.readline().decode()
        if header.endswith(" missing\n"):
            return None
        fields = header.split()
        if len(fields) != 3 or fields[1] != "blob":
            raise DataError(f"{self._place}: git cannot read {path} ({header.strip()!r}); clone it again")
        content = answers.read(int(fields[2]))
        answers.read(1)
        return content
