"""Log of faulty rows found during training: each is reported once, and too many stop the run."""

from __future__ import annotations

import logging
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Literal

from aista.data.row_checks import Problem
from aista.errors import DataError

__all__ = ["FaultLog", "too_many"]

log = logging.getLogger("aista.data")

_FEWEST = 1000  # rows that the share is taken of at least: a fault among the first ten rows says little


def too_many(num_bad: int, num_read: int, max_share: float) -> bool:
    """Whether more than a given fraction of the rows read are bad."""
    return num_bad > max_share * max(num_read, _FEWEST)


class FaultLog:
    """Faults that one process has found in unchecked rows.

    A row that is met again in another epoch counts again, among the rows of that epoch. A resumed run counts anew.

    Args:
        manifests: Origin of the rows: manifests and the numbers of their rows, in order.
        on_bad_rows: ``"error"`` stops at the first fault.
        max_share: Share of the rows read that may have a fault otherwise.
    """

    def __init__(
        self, manifests: Sequence[tuple[Path, int]], on_bad_rows: Literal["error", "drop"], max_share: float
    ) -> None:
        self._paths = [path for path, _ in manifests]
        self._ends = list(accumulate(count for _, count in manifests))
        self._on_bad_rows = on_bad_rows
        self._max_share = max_share
        self._named: set[int] = set()
        self.num_read = 0
        self.num_bad = 0

    def add(self, num_rows: int, problems: Sequence[tuple[int, Problem]]) -> None:
        """Count the rows of a batch and their faults, by the rows' numbers.

        Raises:
            DataError: none is allowed, or there are too many.
        """
        self.num_read += num_rows
        bad = {row for row, _ in problems}
        self.num_bad += len(bad)
        for row, problem in problems:
            if self._on_bad_rows == "error":
                raise DataError(
                    f"{self.describe(row, problem)}\ndata.inspect left this row unchecked. Correct it and repeat the "
                    "command to go on from the last checkpoint; or start a new run with data.inspect: full, which "
                    "finds all such rows first, or with data.on_bad_rows: drop"
                )
            if row not in self._named:
                log.warning("%s (left out)", self.describe(row, problem))
        self._named |= bad
        if too_many(self.num_bad, self.num_read, self._max_share):
            raise DataError(
                f"{self.num_bad} of {self.num_read} rows read by this process were bad, more than data.max_bad_rows "
                f"({self._max_share:g}) allows; the last: {self.describe(*problems[-1])}\n"
                "correct the manifest, or start a new run with data.inspect: full, which lists all such rows, "
                "or with a larger data.max_bad_rows"
            )

    def describe(self, row: int, problem: Problem) -> str:
        """Manifest, line, id and fault of a row."""
        return f"{self._paths[bisect(self._ends, row)]}:{problem.line}: {problem.id}: {problem.message}"
