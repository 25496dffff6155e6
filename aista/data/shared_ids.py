"""Finds ids that occur in several manifests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from aista.data.manifest_rows import Rows

__all__ = ["describe_shared_ids"]


def describe_shared_ids(manifests: Sequence[tuple[Path, Rows]]) -> list[str]:
    """For each manifest with ids of an earlier one: their number, and the place of the first.

    Rows are known by their place, so that nothing is mixed up: translations of one recording into several languages
    often have one id. But so has a corpus that is named twice.
    """
    lines = []
    ids = [rows.column("id").combine_chunks() for _, rows in manifests]
    for (path, rows), mine, number in zip(manifests, ids, range(len(ids)), strict=True):
        for (earlier, others), theirs in zip(manifests[:number], ids, strict=False):
            found = pc.is_in(mine, value_set=theirs)
            if not (count := pc.sum(found).as_py()):
                continue
            place = pc.index(found, pa.scalar(True)).as_py()
            other = pc.index(theirs, mine[place]).as_py()
            lines.append(
                f"{path}: {count:,} of its {len(rows):,} ids are those of rows of {earlier} too, the first "
                f"{rows[place].id!r} (lines {rows[place].line} and {others[other].line}); all these rows are trained "
                "on. Name the manifest once if they are the same"
            )
    return lines
