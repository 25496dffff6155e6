"""Writes a run's metrics to the run folder and, in short, to the terminal, and sends them to trackers."""

from __future__ import annotations

import logging
import math
import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from fairseq2.metrics.recorders import MetricRecorder
from torch import Tensor
from typing_extensions import override

from aista.console import duration
from aista.engine.trackers import Trackers
from aista.engine.training.collapse_watch import CollapseWatch
from aista.run_folder.metric_records import append_record, drop_cut_line
from aista.run_folder.paths import RunPaths
from aista.run_folder.status import seconds_left

__all__ = ["RunRecorder"]

log = logging.getLogger("aista.train")

_SHOWN = re.compile(
    r"(source_|mt_)?nll|(?!(speech|text)_(variance|rank)_)\w+_layer_\d+|bleu|chrf|chrf_plus_plus|ter|comet|wer|cer|off_target|lr|grad_norm"
)
_PACE = 20  # records


class RunRecorder(MetricRecorder):
    """One JSON object per line: ``step`` and every numeric metric under its own name.

    A resumed run appends; of two lines with the same step the later one is valid. A last line
    that was cut off when the run was killed is removed first.
    """

    def __init__(self, run: RunPaths, max_steps: int, trackers: Trackers | None = None) -> None:
        self._run = run
        self._trackers = trackers
        self._max_steps = max_steps
        for split in ("train", "valid"):
            drop_cut_line(run.metrics_file(split))
        self._collapse = CollapseWatch(run.metrics_file("train"))
        self._warned = False
        self._recent = deque[Mapping[str, Any]](maxlen=_PACE)

    @override
    def record_metric_values(self, category: str, values: Mapping[str, object], step_nr: int | None = None) -> None:
        record: dict[str, float | int | list[float] | None] = {"step": step_nr or 0}
        for name, value in values.items():
            if isinstance(value, (int, float, list, tuple, Tensor)):
                record[name] = _number(value)
        append_record(self._run.metrics_file(category), record)
        if self._trackers is not None:
            self._trackers.log(category, record, step_nr or 0)
        left = self._time_left(record) if category == "train" else ""
        log.info("%s %s/%d  %s%s", category, step_nr, self._max_steps, _line(record), left)
        if category == "train":
            self._collapse.look(record)
            self._warn_once_of_no_alignment(record)

    def _time_left(self, record: dict[str, float | int | list[float] | None]) -> str:
        """By the pace of the last records; nothing before the second and at the end."""
        self._recent.append(record)
        left = seconds_left(self._recent, self._max_steps)
        return f"  {duration(left)} left" if left else ""

    def _warn_once_of_no_alignment(self, record: Mapping[str, object]) -> None:
        if record.get("aligned_rows") == 0 and not self._warned:
            log.warning(
                "step %s: no row since the last record could be aligned: none had both speech and a transcript "
                "(column src_text); see aligned_rows in %s",
                record["step"],
                self._run.metrics_file("train"),
            )
            self._warned = True

    def close(self) -> None:
        """Nothing stays open."""


def _number(value: float | list[float] | tuple[float, ...] | Tensor) -> float | list[float] | None:
    """A number for JSON; None (null) where it is not finite, so that its absence can be seen."""
    if isinstance(value, Tensor):
        value = value.item() if value.numel() == 1 else value.tolist()
    if isinstance(value, (list, tuple)):
        return [float(item) for item in value]
    return value if math.isfinite(value) else None


def _line(record: Mapping[str, object]) -> str:
    parts = []
    for name, value in record.items():
        if _SHOWN.fullmatch(name):
            first = value[0] if isinstance(value, list) and value else value
            parts.append(f"{name} {first:.4g}" if isinstance(first, (int, float)) else f"{name} {first}")
    return "  ".join(parts)
