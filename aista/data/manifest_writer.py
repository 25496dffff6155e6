"""Writes a manifest row by row, for any size."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

from typing_extensions import Self

from aista.data.manifest import Row, manifest_line
from aista.files import replacing

__all__ = ["ManifestWriter"]


class ManifestWriter:
    """Write a manifest atomically: it exists only if the block ends without an error.

    Args:
        path: The file.
        columns: Columns to write, in this order.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self._columns = columns
        self._stack = ExitStack()
        self._stream: IO[str] | None = None

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(replacing(self._path))
        self._stream = self._stack.enter_context(temporary.open("w", encoding="utf-8"))
        self._stream.write("\t".join(self._columns) + "\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def write(self, row: Row) -> None:
        """Append a row. Raises DataError for a text with a tab or a line break."""
        assert self._stream is not None, "used outside its block"
        self._stream.write(manifest_line(self._path, row, self._columns) + "\n")
