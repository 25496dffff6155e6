"""Checks that training rows have the transcripts, and for some losses the word times, that alignment needs."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable
from pathlib import Path

from aista.data.manifest_rows import Rows
from aista.data.sources.columns import USUAL_COLUMNS
from aista.errors import DataError

__all__ = ["check_transcripts", "check_words"]

log = logging.getLogger("aista.data")

COLUMN = "src_text"


def check_transcripts(rows: Rows, path: Path, *, minimum: int, unknown_columns: Iterable[str]) -> None:
    """Check that at least ``minimum`` rows have a transcript.

    Raises:
        DataError: fewer have one; names the column that may hold them.
    """
    found = int(rows.is_filled("src_text").sum())
    if found < minimum:
        alike = [name for name in unknown_columns if difflib.get_close_matches(name.lower(), USUAL_COLUMNS[COLUMN], 1)]
        remedy = f"call the column {alike[0]!r} {COLUMN}" if alike else f"fill the column {COLUMN}"
        raise DataError(
            f"{path}: the config compares speech with its transcript, for which at least {minimum} row"
            f"{'s' * (minimum > 1)} must have one (column {COLUMN}), got {found} of {len(rows)}; {remedy}, or set "
            "alignment: [] and mt_weight: 0"
        )


def check_words(rows: Rows, path: Path, *, training: bool) -> None:
    """Check that some training row has word times, which an alignment loss needs; rows without are counted.

    Raises:
        DataError: none does.
    """
    with_times = int(rows.is_filled("word_times").sum())
    if not with_times and training:
        raise DataError(
            f"{path}: no row has word times, which an alignment loss needs; fill the column word_times "
            "(docs/manifest.md), for example from a forced aligner, and leave data.shuffle_transcripts off"
        )
    if with_times < len(rows):
        log.info("%s: %d of %d rows have no word times: not aligned by words", path, len(rows) - with_times, len(rows))
