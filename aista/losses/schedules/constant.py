"""A constant weight, after the start."""

from __future__ import annotations

from dataclasses import dataclass

from aista.losses.schedules.base import Start, WeightSchedule
from aista.registry import register

__all__ = ["ConstantSchedule"]


@register("weight_schedule", "constant")
@dataclass(frozen=True, kw_only=True)
class ConstantSchedule(Start, WeightSchedule):
    """Constant full weight, from the start or after a linear warm-up.

    Choose it unless you have a reason; with a warm-up where a new adapter makes the first gradients of the
    alignment large.
    """

    def factor(self, step: int, num_steps: int) -> float:
        return self.ramp(step)
