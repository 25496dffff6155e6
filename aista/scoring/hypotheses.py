"""The hypotheses file of an evaluation: written by the engine, read by comparisons and reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from aista.errors import DataError
from aista.files import write_text
from aista.text import read_lines

__all__ = [
    "HypothesisRow",
    "align",
    "direction_of",
    "escape_cell",
    "has_directions",
    "read_hypotheses",
    "sameness",
    "unescape_cell",
    "write_hypotheses",
]

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped: char for char, escaped in _ESCAPES.items()}


@dataclass(frozen=True)
class HypothesisRow:
    """One utterance of an evaluation. ``src_text`` is "" where the transcript is unknown, and so are languages."""

    id: str
    src_text: str
    reference: str
    hypothesis: str
    src_lang: str = ""
    tgt_lang: str = ""

    @property
    def direction(self) -> str:
        """``en-fr``; a question mark stands for a language that is unknown."""
        return direction_of(self.src_lang, self.tgt_lang)


_ALL_COLUMNS = tuple(field.name for field in fields(HypothesisRow))
COLUMNS = _ALL_COLUMNS[:4]  # what a file must have


FEW = 0.1
"""Minimum ratio of different outputs to different references; below it a warning says that outputs are the same."""


def direction_of(src_lang: str, tgt_lang: str) -> str:
    """Name of a direction of translation: ``en-fr``, with a question mark for an unknown language."""
    return f"{src_lang or '?'}-{tgt_lang or '?'}"


def has_directions(targets: Iterable[str]) -> bool:
    """Whether rows with these target languages are scored by direction, i.e. have several languages."""
    return len({target.casefold() for target in targets if target}) > 1


def sameness(hypotheses: Sequence[str], references: Sequence[str]) -> str:
    """A warning where nearly all of a system's hypotheses are equal, else "".

    Scores and their significance cannot tell such a system from one that translates badly.
    """
    answers, expected = len(set(hypotheses)), len(set(references))
    if answers >= FEW * expected:
        return ""
    return (
        f"{answers} different hypotheses for {len(hypotheses)} utterances with {expected} different references: the "
        "output hardly depends on the input, so scores and p-values say nothing about translation"
    )


def escape_cell(text: str) -> str:
    r"""Tabs, line breaks and backslashes as ``\t``, ``\n``, ``\r`` and ``\\``."""
    return re.sub(r"[\\\t\n\r]", lambda hit: _ESCAPES[hit[0]], text)


def unescape_cell(cell: str) -> str:
    """The inverse of ``escape_cell``."""
    return re.sub(r"\\[\\tnr]", lambda hit: _UNESCAPES[hit[0]], cell)


def write_hypotheses(path: str | Path, rows: Sequence[HypothesisRow]) -> None:
    r"""Write rows as tab-separated UTF-8 with a header, atomically.

    Cells are escaped by ``escape_cell``, so one row is one line.
    """
    lines = ["\t".join(_ALL_COLUMNS)]
    lines += ["\t".join(map(escape_cell, astuple(row))) for row in rows]
    write_text(Path(path), "\n".join(lines) + "\n")


def read_hypotheses(path: str | Path) -> list[HypothesisRow]:
    """Read the file of ``write_hypotheses``.

    Raises:
        DataError: the file cannot be read or is not UTF-8, a column is missing, a line has another number
            of cells, or an id occurs twice; file and line are named.
    """
    lines = read_lines(Path(path), "no such file; `aista evaluate` writes it") or [""]
    header = lines[0].split("\t")
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise DataError(f"{path}:1: the header lacks {', '.join(missing)}; expects the columns {', '.join(COLUMNS)}")
    rows: dict[str, HypothesisRow] = {}
    for number, line in enumerate(lines[1:], start=2):
        cells = [unescape_cell(cell) for cell in line.split("\t")]
        if len(cells) != len(header):
            raise DataError(f"{path}:{number}: expects {len(header)} cells, as in the header, got {len(cells)}")
        values = dict(zip(header, cells, strict=True))
        row = HypothesisRow(**{column: values[column] for column in _ALL_COLUMNS if column in values})
        if row.id in rows:
            raise DataError(f"{path}:{number}: the id {row.id!r} occurs twice; ids must be unique")
        rows[row.id] = row
    return list(rows.values())


def align(systems: Mapping[str, Sequence[HypothesisRow]]) -> tuple[list[HypothesisRow], dict[str, list[str]]]:
    """Bring several systems' rows into one order, so that they may be compared utterance by utterance.

    Returns:
        The first system's rows, and label -> hypotheses in their order.

    Raises:
        DataError: systems were evaluated on other utterances or against other references.
    """
    first, *others = systems
    rows = list(systems[first])
    aligned = {first: [row.hypothesis for row in rows]}
    for name in others:
        by_id = {row.id: row for row in systems[name]}
        lacking = [row.id for row in rows if row.id not in by_id]
        extra = by_id.keys() - {row.id for row in rows}
        if lacking or extra:
            example = (lacking or sorted(extra))[0]
            raise DataError(
                f"{first!r} and {name!r} were evaluated on other utterances: {len(lacking)} missing in {name!r}, "
                f"{len(extra)} only there (e.g. {example!r}); evaluate both on the same split"
            )
        changed = [row.id for row in rows if by_id[row.id].reference != row.reference]
        if changed:
            raise DataError(
                f"{first!r} and {name!r} have other references for {len(changed)} utterances (e.g. {changed[0]!r}); "
                f"evaluate both on the same data"
            )
        aligned[name] = [by_id[row.id].hypothesis for row in rows]
    return rows, aligned
