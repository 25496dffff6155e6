"""Metric records of a run: one JSON object per line, written while training goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from aista.errors import RunError

__all__ = ["append_record", "drop_cut_line", "read_records"]


def read_records(path: Path) -> list[dict[str, float]]:
    """Records of a metrics file, ascending by step.

    A resumed run repeats the steps after its checkpoint: the last line of a step counts. A last line
    without its line break was cut off by a kill and is left out.

    Raises:
        RunError: a line is not a JSON object with a step.
    """
    by_step: dict[float, dict[str, float]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], start=1):
        try:
            record = json.loads(line)
            by_step[record["step"]] = record
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{path}:{number}: expects a JSON object with a step, got {line:.60} ({type(error).__name__}: {error})"
            ) from error
    return [by_step[step] for step in sorted(by_step)]


def append_record(path: Path, record: Mapping[str, object]) -> None:
    """Add a record, making the folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")


def drop_cut_line(path: Path) -> None:
    """Remove a last line that a kill cut off, so that the next record begins a line."""
    if not path.is_file():
        return
    content = path.read_bytes()
    length = content.rfind(b"\n") + 1
    if length < len(content):
        os.truncate(path, length)
