"""Full weight until validation stops improving."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aista.losses.schedules.base import Start, WeightSchedule
from aista.registry import register
from aista.schema import option

__all__ = ["UntilPlateauSchedule", "UntilPlateauScheduleConfig"]


@dataclass(frozen=True, kw_only=True)
class UntilPlateauScheduleConfig(Start):
    """Options of ``until_plateau``."""

    patience: int = option(3, "Consecutive validations without improvement that count as a plateau.", minimum=1)
    min_delta: float = option(0.0, "Smallest gain over the best score that counts as an improvement.", minimum=0)
    decay_steps: int = option(0, "Steps of linear decay after the plateau; 0 drops to `final` at once.", minimum=0)
    final: float = option(0.0, "Factor of the weight after the decay.", minimum=0, maximum=1)


@register("weight_schedule", "until_plateau", config=UntilPlateauScheduleConfig)
class UntilPlateauSchedule(WeightSchedule):
    """Full weight until ``evaluation.score`` has not improved for ``patience`` validations, then ``final``.

    Only validations at full weight count. Its state is the list of scores, which a resumed run replays.

    Choose it where alignment helps early, for an unknown number of steps; it needs ``trainer.validate_every``.
    """

    watches_validation = True

    def __init__(self, config: UntilPlateauScheduleConfig) -> None:
        self.config = config
        self._best = -math.inf
        self._without_gain = 0
        self._plateau: int | None = None

    @property
    def start_step(self) -> int:
        return self.config.start_step

    def observe(self, step: int, score: float) -> None:
        """Count validations without improvement; a NaN score is not an improvement."""
        if self._plateau is not None or step <= self.config.full_step:
            return
        if score > self._best + self.config.min_delta:
            self._best, self._without_gain = score, 0
            return
        self._without_gain += 1
        if self._without_gain >= self.config.patience:
            self._plateau = step

    def factor(self, step: int, num_steps: int) -> float:
        """1 up to the plateau, then down to ``final``."""
        if self._plateau is None or step <= self._plateau:
            return self.config.ramp(step)
        share = min(1.0, (step - self._plateau) / max(1, self.config.decay_steps))
        return self.config.ramp(step) * (1 - (1 - self.config.final) * share)
