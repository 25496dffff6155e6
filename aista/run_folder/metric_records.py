"""Metric records of a run: one JSON object per line, written during training."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aista.run_folder.parsing import parsing, sealed, unsealed

__all__ = ["SCORE", "append_record", "drop_cut_line", "last_records", "read_records", "read_scores"]

SCORE = "score"
"""Name of the score that selects the best checkpoint, oriented so that higher is better."""


def read_records(path: Path) -> list[dict[str, float]]:
    """Records of a metrics file, ascending by step.

    A resumed run repeats the steps after its checkpoint: the last line of a step counts. A last line
    without line break was cut off when the process was killed, and is left out.

    Raises:
        RunError: a line is not a JSON object with a step, or not as it was written.
    """
    by_step: dict[float, dict[str, float]] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        record = _record(line, f"{path}:{number}")
        by_step[float(record["step"])] = record
    return [by_step[step] for step in sorted(by_step)]


def last_records(path: Path, size: int = 65_536) -> list[dict[str, float]]:
    """The records at the end of a metrics file, in the order in which they were written; reads ``size`` bytes of it.

    Raises:
        RunError: as ``read_records``.
    """
    with path.open("rb") as stream:
        start = max(0, path.stat().st_size - size)
        stream.seek(start)
        lines = stream.read().split(b"\n")[:-1]
    return [_record(line, str(path)) for line in (lines[1:] if start else lines)]


def _record(line: bytes, place: str) -> dict[str, float]:
    with parsing(Path(place), "; restore the file, or remove the line"):
        record = unsealed(json.loads(line))
        for name, value in record.items():
            if not all(item is None or isinstance(item, (int, float)) for item in _items(value)):
                raise TypeError(f"{name} must be a number, a list of them or null")
        float(record["step"])
        return record


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def read_scores(path: Path) -> dict[int, float]:
    """Step -> score of the validations in a metrics file, which may be missing; NaN where the score was not finite."""
    records: Iterable[Mapping[str, Any]] = read_records(path) if path.is_file() else []
    scores = ((int(record["step"]), record.get(SCORE)) for record in records)
    return {step: math.nan if score is None else float(score) for step, score in scores}


def append_record(path: Path, record: Mapping[str, object]) -> None:
    """Add a record, making the folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(sealed(record)) + "\n")


def drop_cut_line(path: Path) -> None:
    """Remove an incomplete last line left by a killed process, so that the next record begins a line."""
    if not path.is_file():
        return
    content = path.read_bytes()
    length = content.rfind(b"\n") + 1
    if length < len(content):
        os.truncate(path, length)
