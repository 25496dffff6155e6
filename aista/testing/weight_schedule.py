"""Contracts of kind ``weight_schedule``."""

from __future__ import annotations

import copy

from aista.losses.schedules.base import WeightSchedule
from aista.testing.contracts import contract

NUM_STEPS = 200


@contract("weight_schedule")
def check_factor(schedule: WeightSchedule, *, num_steps: int = NUM_STEPS) -> None:
    """Factors lie in [0, 1] at every step, are 0 before ``start_step``, and asking changes nothing."""
    factors = [schedule.factor(step, num_steps) for step in range(1, num_steps + 1)]
    wrong = [(step, factor) for step, factor in enumerate(factors, 1) if not 0 <= factor <= 1]
    assert not wrong, f"factors must lie in [0, 1], got {wrong[0][1]} at step {wrong[0][0]}"
    before = [step for step, factor in enumerate(factors, 1) if step <= schedule.start_step and factor]
    assert not before, f"the factor must be 0 up to start_step ({schedule.start_step}), is not at step {before[:1]}"
    assert any(factors), "the factor is 0 at every step"
    backwards = [schedule.factor(step, num_steps) for step in range(num_steps, 0, -1)]
    assert backwards[::-1] == factors, "the factor of a step depends on which steps were asked for before"


@contract("weight_schedule")
def check_resume(schedule: WeightSchedule, *, num_steps: int = NUM_STEPS) -> None:
    """The same validations give the same factors; they matter only with ``watches_validation``."""
    fresh, unobserved = copy.deepcopy(schedule), copy.deepcopy(schedule)
    scores = [(step, score) for step, score in zip(range(10, num_steps, 10), [3.0, 2.0] * num_steps, strict=False)]
    live = []
    for step in range(1, num_steps + 1):
        for seen, score in scores:
            if seen == step - 1:
                schedule.observe(seen, score)
        live.append(schedule.factor(step, num_steps))
    stop = num_steps // 2
    for seen, score in scores:
        if seen <= stop:
            fresh.observe(seen, score)
    resumed = fresh.factor(stop + 1, num_steps)
    assert resumed == live[stop], f"after a resume the factor at step {stop + 1} is {resumed}, not {live[stop]}"
    if not schedule.watches_validation:
        unmoved = [unobserved.factor(step, num_steps) for step in range(1, num_steps + 1)]
        assert unmoved == live, "validations change the factors, but watches_validation is False"
