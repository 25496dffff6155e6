"""Counts bad rows of a stream: each is reported, and too many stop the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from aista.data.fault_log import too_many
from aista.data.streams.shard_windows import BadRow
from aista.errors import DataError

__all__ = ["Tally"]

log = logging.getLogger("aista.data")


class Tally:
    """Counts of one process over a stream's rows; a row counts again in each epoch.

    Args:
        folder: The stream's.
        on_bad_rows: ``"error"`` stops at the first.
        max_share: Share of the rows met that may be bad otherwise.
        names: Log the bad rows that all processes meet.
    """

    def __init__(self, folder: Path, on_bad_rows: Literal["error", "drop"], max_share: float, *, names: bool) -> None:
        self.num_met = 0
        self.num_bad = 0
        self._folder = folder
        self._stops = on_bad_rows == "error"
        self._max_share = max_share
        self._names = names

    def require_none(self, bad: Sequence[BadRow]) -> None:
        """Raise DataError for the first bad row where none is allowed."""
        if self._stops and bad:
            raise DataError(
                f"{self._shown(bad[0])}\ncorrect it and repeat the command, which goes on from the last checkpoint, or "
                "start a new run with data.on_bad_rows: drop"
            )

    def add(self, num_met: int, bad: Sequence[BadRow], *, everywhere: bool) -> None:
        """Count rows; ``everywhere`` says that the other processes meet them too.

        Raises:
            DataError: none is allowed, or these are too many.
        """
        self.require_none(bad)
        self.num_met += num_met
        self.num_bad += len(bad)
        for row in bad if self._names or not everywhere else ():
            log.warning("%s (left out)", self._shown(row))
        if too_many(self.num_bad, self.num_met, self._max_share):
            last = f"; the last: {self._shown(bad[-1])}" if bad else ""
            raise DataError(
                f"{self._folder}: {self.num_bad} of {self.num_met} rows met are bad, more than data.max_bad_rows "
                f"({self._max_share:g}) allows{last}; write the shards again, or start a new run with a larger share"
            )

    def state_dict(self) -> dict[str, int]:
        """The counts."""
        return {"num_met": self.num_met, "num_bad": self.num_bad}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue counting from stored counts."""
        self.num_met, self.num_bad = state["num_met"], state["num_bad"]

    def _shown(self, row: BadRow) -> str:
        place, id, fault = row
        return f"{self._folder / place}: {id}: {fault}"
