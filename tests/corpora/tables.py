"""Reads manifests as the tables that they are, whatever the package thinks of them."""

from __future__ import annotations

import csv
from pathlib import Path

__all__ = ["rows"]


def rows(out: Path, name: str) -> list[dict[str, str]]:
    """The rows of a prepared folder's manifest, by column."""
    with (out / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
