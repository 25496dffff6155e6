"""The folder of an import: recognised, locked, completed last, never mixed with other files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aista.corpora.imports.audio_store import AUDIO_FOLDER
from aista.errors import DataError
from aista.files import remove_leftovers, write_json, write_text
from aista.locks import locked

__all__ = ["ImportFolder"]

FORMAT = 1
REPORT, READABLE, WORK = "report.json", "report.txt", ".import"


class ImportFolder:
    """A folder marked by ``report.json``, which has ``complete: false`` until the end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def spool(self) -> Path:
        """File of rows without a split yet."""
        return self.path / WORK / "rows.lines"

    @property
    def measured(self) -> Path:
        """File of measured audio lengths."""
        return self.path / WORK / "measured.lines"

    @contextmanager
    def filling(self, request: Mapping[str, Any], *, overwrite: bool) -> Iterator[None]:
        """Lock the folder while the block fills it; an interrupted earlier import is continued.

        Raises:
            DataError: it holds something else, or a finished import that is not to be overwritten.
            RunError: another process fills it, or it cannot be written.
        """
        self._check(overwrite=overwrite)
        with locked(self.path / ".import.lock", self.path):
            self._check(overwrite=overwrite)
            remove_leftovers(self.path, "*")
            for folder in self.path.glob(f"{AUDIO_FOLDER}/*"):
                remove_leftovers(folder, "*")
            write_json(self.path / REPORT, {"aista_import": FORMAT, "complete": False, "request": request})
            for old in (*self.path.glob("*.tsv"), *self.path.glob(".*.tsv.*"), self.path / READABLE):
                old.unlink(missing_ok=True)
            yield

    def finish(self, request: Mapping[str, Any], report: Mapping[str, Any], text: str, stored: Set[str]) -> None:
        """Remove temporary files, and mark the import complete.

        Args:
            request: As given to ``filling``.
            report: The report as plain data.
            text: The report as people read it.
            stored: Audio that rows refer to, relative to the folder; other files of the audio folder are left-overs.
        """
        for file in self.path.glob(f"{AUDIO_FOLDER}/*/*"):
            if file.relative_to(self.path).as_posix() not in stored:
                file.unlink()
        write_text(self.path / READABLE, text + "\n")
        finished = {"aista_import": FORMAT, "complete": True, "request": request, "report": report}
        write_json(self.path / REPORT, finished)
        shutil.rmtree(self.path / WORK, ignore_errors=True)

    def _check(self, *, overwrite: bool) -> None:
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise DataError(
                f"{self.path}: must be a folder to write the manifests into, got a file; choose another name"
            )
        try:
            mark = json.loads((self.path / REPORT).read_text(encoding="utf-8"))
            is_ours = mark.get("aista_import") == FORMAT
        except (OSError, ValueError, AttributeError):
            mark, is_ours = {}, False
        if not is_ours and any(entry.name != ".import.lock" for entry in self.path.iterdir()):
            raise DataError(f"{self.path}: is not empty and no import of aista's; choose a new folder")
        if mark.get("complete") and not overwrite:
            raise DataError(
                f"{self.path}: holds a finished import ({READABLE} describes it); choose another folder, or import "
                "anew with --overwrite"
            )
