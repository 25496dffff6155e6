"""The same weight, after a start."""

from __future__ import annotations

from dataclasses import dataclass

from aista.losses.schedules.base import Start, WeightSchedule
from aista.registry import register

__all__ = ["ConstantSchedule"]


@register("weight_schedule", "constant")
@dataclass(frozen=True, kw_only=True)
class ConstantSchedule(Start, WeightSchedule):
    """The whole weight, from the start or after a straight warm-up.

    Choose it unless you have a reason; with a warm-up where a fresh adapter makes the first gradients of the
    alignment large.
    """

    def factor(self, step: int, num_steps: int) -> float:
        return self.ramp(step)
