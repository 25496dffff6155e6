"""Warns once if the aligned states collapse in training."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from aista.run_folder.metric_records import read_records

__all__ = ["LEAST", "CollapseWatch"]

log = logging.getLogger("aista.collapse")

LEAST = {"variance": 0.05, "rank": 0.2}
"""Fractions of the first record below which states count as collapsed; chosen from small runs, where healthy states
stay well above and collapsed ones fall far below."""
_METRIC = re.compile(r"(speech|text)_(variance|rank)_layer_(\d+)")


class CollapseWatch:
    """Compares each training record with the first one that has the same metric.

    The first one is read from the run's own records, so that a resumed run compares with its true beginning.

    Args:
        file: RUN/metrics/train.jsonl; may be missing.
    """

    def __init__(self, file: Path) -> None:
        self._first: dict[str, tuple[float, float]] = {}
        self._warned = False
        for record in read_records(file) if file.is_file() else []:
            self._remember(record)

    def look(self, record: Mapping[str, object]) -> None:
        """Warn if this record shows a collapse and none was shown before."""
        self._remember(record)
        for name, (step, first) in self._first.items():
            value = record.get(name)
            match = _METRIC.fullmatch(name)
            if match is None or not isinstance(value, (int, float)) or value >= LEAST[match[2]] * first:
                continue
            if not self._warned:
                log.warning("%s", _message(match, record, value, step, first))
            self._warned = True

    def _remember(self, record: Mapping[str, object]) -> None:
        for name, value in record.items():
            if isinstance(value, (int, float)) and _METRIC.fullmatch(name):
                step = record["step"]
                assert isinstance(step, (int, float))
                self._first.setdefault(name, (step, value))


def _message(match: re.Match[str], record: Mapping[str, object], value: float, step: float, first: float) -> str:
    side, what, layer = match.groups()
    what = "effective rank" if what == "rank" else what
    return (
        f"step {record['step']}: the {side} states of layer {layer} are collapsing: their {what} is {value:.3g}, "
        f"{100 * value / first:.1f} % of the {first:.3g} at step {step:.0f}. A low alignment loss then says that all "
        "states became alike, not that speech found its text. Lower alignment[].weight, let it begin later or rise "
        "slowly (alignment[].schedule: start_step, warmup_steps), or align other layers; `aista probe RUN` shows more"
    )
