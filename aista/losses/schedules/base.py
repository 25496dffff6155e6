"""Interface of weight schedules, and the options of their start and decay."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from aista.schema import Options, option

__all__ = ["Decay", "Start", "WeightSchedule"]


class WeightSchedule(ABC):
    """The weight of a loss as a function of the training step; a component of kind ``weight_schedule``.

    ``factor`` is a function of its arguments and of what was observed, in order: a resumed run replays the same
    observations.

    Attributes:
        watches_validation: Whether it depends on ``observe``, so that the run must validate.
    """

    watches_validation: bool = False

    @property
    @abstractmethod
    def start_step(self) -> int:
        """Steps before the first one whose factor is above 0."""

    @abstractmethod
    def factor(self, step: int, num_steps: int) -> float:
        """Factor of the weight, in [0, 1].

        Args:
            step: The optimiser step, from 1.
            num_steps: Steps of the whole run.
        """

    def observe(self, step: int, score: float) -> None:  # noqa: B027 -- most have nothing to note
        """Record the score of a validation.

        Args:
            step: Steps trained before it.
            score: ``evaluation.score``, oriented so that higher is better; NaN where it was not finite.
        """


@dataclass(frozen=True, kw_only=True)
class Start(Options):
    """When the loss starts."""

    start_step: int = option(0, "Steps before the loss starts.", minimum=0)
    warmup_steps: int = option(0, "Steps over which its weight then rises linearly.", minimum=0)

    @property
    def full_step(self) -> int:
        """The first step at full weight is the one after this."""
        return self.start_step + self.warmup_steps

    def ramp(self, step: int) -> float:
        """The factor of the start: 0, then rising to 1 in the last step of the warm-up."""
        if step <= self.start_step:
            return 0.0
        return min(1.0, (step - self.start_step) / max(1, self.warmup_steps))


@dataclass(frozen=True, kw_only=True)
class Decay(Start):
    """A start, and a decay between two steps."""

    decay_step: int | None = option(None, "Last step at full weight; null: the end of the warm-up.", minimum=0)
    end_step: int | None = option(None, "Step at which the decay ends; null: the last step of the run.", minimum=1)
    final: float = option(0.0, "Factor of the weight after the decay.", minimum=0, maximum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decay_step is not None and self.decay_step < self.full_step:
            raise ValueError(
                f"decay_step must be at least start_step + warmup_steps ({self.full_step}), got {self.decay_step}"
            )
        if self.end_step is not None and self.end_step <= self.decay_from:
            raise ValueError(f"end_step must be greater than {self.decay_from}, where the decay begins")

    @property
    def decay_from(self) -> int:
        """The last step at full weight."""
        return self.full_step if self.decay_step is None else self.decay_step

    def decay_share(self, step: int, num_steps: int) -> float:
        """Fraction of the decay completed before a step, in [0, 1]."""
        end = num_steps if self.end_step is None else self.end_step
        if step <= self.decay_from:
            return 0.0
        return min(1.0, (step - self.decay_from) / max(1, end - self.decay_from))
