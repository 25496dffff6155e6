"""Subsets of the training rows, for curves over the amount of data."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aista.data.manifest import Manifest, read_manifest
from aista.data.manifest_rows import Row, Rows
from aista.errors import DataError

__all__ = ["first_rows", "read_first_rows"]


def first_rows(rows: Sequence[Row], count: int) -> Rows:
    """Choose ``count`` rows by a hash of their ids, in the manifest's order; smaller choices are subsets of larger.

    Neither the manifest's order nor a seed matters, and a smaller number is always a subset of a larger: runs with 400,
    800 and 1,600 rows differ only in what is added.

    Raises:
        ValueError: ``count`` is not between 1 and the number of rows.
    """
    if not 1 <= count <= len(rows):
        raise ValueError(f"must be between 1 and {len(rows)}, the rows of the manifest, got {count}")
    rows = Rows.of(rows)
    digests = [hashlib.blake2b(id.encode()).digest() for id in rows.texts("id")]
    return rows.take(sorted(heapq.nsmallest(count, range(len(rows)), key=digests.__getitem__)))


def read_first_rows(path: Path, count: int) -> Manifest:
    """A manifest with the ``count`` rows that ``first_rows`` gives, or with all where that is 0.

    Raises:
        DataError: the manifest is malformed, or has fewer rows.
    """
    manifest = read_manifest(path)
    try:
        return replace(manifest, rows=first_rows(manifest.rows, count)) if count else manifest
    except ValueError as error:
        raise DataError(f"{path}: --rows {error}") from error
