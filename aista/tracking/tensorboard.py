"""TensorBoard: event files in the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aista.config import dump_yaml
from aista.registry import register
from aista.schema import Options
from aista.tracking.base import RunDescription, Status, TrackedRun, Tracker

__all__ = ["TensorBoard"]


@register("tracker", "tensorboard")
@dataclass(frozen=True, kw_only=True)
class TensorBoard(Options, Tracker):
    """TensorBoard event files in ``RUN/tracking/tensorboard``, for ``tensorboard --logdir runs``.

    A resumed run hides the records after its checkpoint, which it repeats. Choose it where no data may leave the
    machine.
    """

    def open(self, run: RunDescription) -> TrackedRun:
        return _EventFiles(run)


class _EventFiles(TrackedRun):
    def __init__(self, run: RunDescription) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = run.folder / "tensorboard"
        goes_on = run.config is not None and folder.is_dir()
        writer: Any = SummaryWriter
        self._writer = writer(str(folder), purge_step=run.last_step + 1 if goes_on else None)
        if run.config is not None:
            self.note("config", f"```yaml\n{dump_yaml(run.config)}```", run.last_step)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def note(self, name: str, text: str, step: int) -> None:
        self._writer.add_text(name, text, step)
        self._writer.flush()

    def close(self, status: Status | None) -> None:
        self._writer.close()
