"""A weight that falls along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aista.losses.schedules.base import Decay, WeightSchedule
from aista.registry import register

__all__ = ["CosineSchedule"]


@register("weight_schedule", "cosine")
@dataclass(frozen=True, kw_only=True)
class CosineSchedule(Decay, WeightSchedule):
    """Cosine decay: ``final + (1 - final) (1 + cos(pi t)) / 2``, ``t`` from 0 at ``decay_step`` to 1 at ``end_step``.

    Choose it over ``linear`` to stay near the full weight longer and to approach ``final`` slowly, in step with a
    cosine learning rate (Loshchilov and Hutter 2017, arXiv 1608.03983).
    """

    def factor(self, step: int, num_steps: int) -> float:
        share = self.decay_share(step, num_steps)
        return self.ramp(step) * (self.final + (1 - self.final) * (1 + math.cos(math.pi * share)) / 2)
