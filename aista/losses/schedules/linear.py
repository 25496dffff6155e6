"""A weight that decays linearly."""

from __future__ import annotations

from dataclasses import dataclass

from aista.losses.schedules.base import Decay, WeightSchedule
from aista.registry import register

__all__ = ["LinearSchedule"]


@register("weight_schedule", "linear")
@dataclass(frozen=True, kw_only=True)
class LinearSchedule(Decay, WeightSchedule):
    """Linear decay: ``1 - (1 - final) t`` for ``t`` from 0 at ``decay_step`` to 1 at ``end_step``.

    Choose it where alignment should dominate at first and the cross-entropy at the end.
    """

    def factor(self, step: int, num_steps: int) -> float:
        return self.ramp(step) * (1 - (1 - self.final) * self.decay_share(step, num_steps))
