"""A weight that falls along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aista.losses.schedules.base import DecayConfig, WeightSchedule, decay_share
from aista.registry import register

__all__ = ["CosineSchedule", "CosineScheduleConfig"]


@dataclass(frozen=True, kw_only=True)
class CosineScheduleConfig(DecayConfig):
    """Options of ``cosine``."""


@register("weight_schedule", "cosine", config=CosineScheduleConfig)
class CosineSchedule(WeightSchedule):
    """``final + (1 - final) (1 + cos(pi t)) / 2`` for ``t`` from 0 at ``decay_step`` to 1 at ``end_step``.

    Choose it over ``linear`` to stay near the whole weight longer and to come to rest softly, in step with a cosine
    learning rate (Loshchilov and Hutter 2017, arXiv 1608.03983).
    """

    def __init__(self, config: CosineScheduleConfig) -> None:
        super().__init__(config)
        self.config = config

    def factor(self, step: int, num_steps: int) -> float:
        """The half cosine."""
        share = decay_share(self.config, step, num_steps)
        return self.ramp(step) * (self.config.final + (1 - self.config.final) * (1 + math.cos(math.pi * share)) / 2)
