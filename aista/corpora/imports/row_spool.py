"""Files of an import in progress: rows without a split yet, and measurements, also for a later continuation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from aista.data.audio import AudioInfo, probe_audio
from aista.data.audio_file import file_status
from aista.data.manifest import Row

__all__ = ["MeasuredFiles", "RowSpool"]


class RowSpool:
    """Rows in a file, with the split named by their source, so that memory stays constant."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("w", encoding="utf-8")

    def add(self, row: Row, place: str) -> None:
        """Append a row, with its place in the source."""
        values = {name: value for name, value in vars(row).items() if value}
        self._stream.write(json.dumps([values, place], ensure_ascii=False) + "\n")

    def rows(self) -> Iterator[tuple[Row, str]]:
        """All rows, in the order in which they came."""
        self._stream.flush()
        with self._path.open(encoding="utf-8", newline="\n") as stream:
            for line in stream:
                values, place = json.loads(line)
                yield Row(**{"audio": "", "n_frames": 0, "tgt_text": "", **values}), place

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class MeasuredFiles:
    """Measurements of decoded files, a line each, valid while size and time are unchanged, for interrupted imports.

    Args:
        path: The file of the lines; what a killed import left of its last line is passed over.
        base: Folder that relative paths start from.
    """

    def __init__(self, path: Path, base: Path) -> None:
        self._base = base
        self._known: dict[str, list[Any]] = {}
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, TypeError):
                    spec, *values = json.loads(line)
                    self._known[spec] = values
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("a", encoding="utf-8")

    def probe(self, spec: str) -> AudioInfo:
        """As ``probe_audio``. Raises DataError as it does. May be called from several threads."""
        status = file_status(spec, self._base)
        stamp = [status.st_size, status.st_mtime_ns]
        known = self._known.get(spec)
        if known is not None and known[:2] == stamp and len(known) == 5:
            return AudioInfo(*known[2:])
        info = probe_audio(spec, self._base)
        self._stream.write("\n" + json.dumps([spec, *stamp, *info]))
        return info

    def flush(self) -> None:
        """Write down what is known by now."""
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
