"""Translations of automatically segmented talks, resegmented to the references' segments."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aista.errors import DataError
from aista.scoring.hypotheses import COLUMNS, read_hypotheses, unescape_cell
from aista.scoring.resegmentation import resegment
from aista.text import read_lines

__all__ = ["Talk", "read_talk", "resegment_talk"]

_TIME = re.compile(r"\d+:\d\d:\d\d\.\d{3}")


@dataclass(frozen=True)
class Talk:
    """Texts of successive segments, and the number of segments whose translation failed."""

    segments: tuple[str, ...]
    num_failed: int = 0


def read_talk(path: Path) -> Talk:
    """Read what ``aista translate`` wrote as json, tsv or text with times, or text with a segment in each line.

    Hypotheses of an evaluated run are accepted too.

    Several recordings are concatenated in the file's order.

    Raises:
        DataError: the file cannot be read, is empty, or has tabs and none of these formats.
    """
    lines = read_lines(path, "no such file; `aista translate --segment vad -o FILE` writes it")
    if not any(lines):
        raise DataError(f"{path}: is empty; it must have the translation of a talk")
    if lines[0].strip() == "[":
        return _read_json(path, "\n".join(lines))
    cells = [line.split("\t") for line in lines]
    if cells[0] == ["file", "start", "end", "text"]:
        rows = cells[1:]
    elif len(cells[0]) == 4 and all(map(_TIME.fullmatch, cells[0][1:3])):
        rows = cells
    elif set(COLUMNS) <= set(cells[0]):
        return Talk(tuple(row.hypothesis for row in read_hypotheses(path)))
    else:
        return Talk(_plain(path, lines))
    for number, row in enumerate(rows, start=len(lines) - len(rows) + 1):
        if len(row) != 4:
            raise DataError(f"{path}:{number}: must have file, start, end and text, got {len(row)} cells")
    return Talk(tuple(unescape_cell(row[3]) for row in rows))


def resegment_talk(path: Path, references: Sequence[str], target_language: str) -> tuple[tuple[str, ...], str]:
    """Resegment a talk's translation to its references; returns the segments and a note.

    Raises:
        DataError: the file cannot be read, or the language is not a code of ISO 639.
    """
    talk = read_talk(path)
    try:
        found = resegment(" ".join(talk.segments), references, target_language=target_language)
    except ValueError as error:
        raise DataError(str(error)) from error
    empty = sum(not text for text in found.texts)
    failed = f"; WARNING: {talk.num_failed} segments were not translated" if talk.num_failed else ""
    note = (
        f"{path}: {len(talk.segments)} segments of {found.words} words divided among {len(references)} references with "
        f"{found.edits} edits, {empty} left empty{failed}"
    )
    return found.texts, note


def _plain(path: Path, lines: Sequence[str]) -> tuple[str, ...]:
    for number, line in enumerate(lines, start=1):
        if "\t" in line:
            raise DataError(
                f"{path}:{number}: must be text without tabs, or what `aista translate` writes with a segmenter as "
                "json, tsv or text; remove the other columns"
            )
    return tuple(lines)


def _read_json(path: Path, text: str) -> Talk:
    try:
        segments = [segment["text"] for recording in json.loads(text) for segment in recording["segments"]]
        if not all(segment is None or isinstance(segment, str) for segment in segments):
            raise TypeError("text must be a text or null")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: must be what `aista translate --format json` writes, a list of recordings with segments: "
            f"{type(error).__name__}: {error}; write it again"
        ) from error
    return Talk(tuple(segment for segment in segments if segment is not None), segments.count(None))
