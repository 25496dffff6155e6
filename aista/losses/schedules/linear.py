"""A weight that falls in a straight line."""

from __future__ import annotations

from dataclasses import dataclass

from aista.losses.schedules.base import DecayConfig, WeightSchedule, decay_share
from aista.registry import register

__all__ = ["LinearSchedule", "LinearScheduleConfig"]


@dataclass(frozen=True, kw_only=True)
class LinearScheduleConfig(DecayConfig):
    """Options of ``linear``."""


@register("weight_schedule", "linear", config=LinearScheduleConfig)
class LinearSchedule(WeightSchedule):
    """``1 - (1 - final) t`` for ``t`` from 0 at ``decay_step`` to 1 at ``end_step``.

    Choose it where alignment shall lead at first and leave the last word to the cross-entropy.
    """

    def __init__(self, config: LinearScheduleConfig) -> None:
        super().__init__(config)
        self.config = config

    def factor(self, step: int, num_steps: int) -> float:
        """The straight line."""
        return self.ramp(step) * (1 - (1 - self.config.final) * decay_share(self.config, step, num_steps))
