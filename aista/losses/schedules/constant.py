"""The same weight, after a start."""

from __future__ import annotations

from dataclasses import dataclass

from aista.losses.schedules.base import StartConfig, WeightSchedule
from aista.registry import register

__all__ = ["ConstantSchedule", "ConstantScheduleConfig"]


@dataclass(frozen=True, kw_only=True)
class ConstantScheduleConfig(StartConfig):
    """Options of ``constant``."""


@register("weight_schedule", "constant", config=ConstantScheduleConfig)
class ConstantSchedule(WeightSchedule):
    """The whole weight, from the start or after a straight warm-up.

    Choose it unless you have a reason; with a warm-up where a fresh adapter makes the first gradients of the
    alignment large.
    """

    def factor(self, step: int, num_steps: int) -> float:
        """1 after the warm-up."""
        return self.ramp(step)
