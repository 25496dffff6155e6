"""Every weight schedule: values worked out by hand, the plateau, its state, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from aista.errors import ConfigError
from aista.losses.schedules.base import WeightSchedule
from aista.registry import build
from aista.schema import resolve

NAN = float("nan")


def make(name: str, **options: Any) -> WeightSchedule:
    schedule = build("weight_schedule", resolve("weight_schedule", {"name": name, "config": options}))
    assert isinstance(schedule, WeightSchedule)
    return schedule


def factors(schedule: WeightSchedule, steps: list[int], num_steps: int = 100) -> list[float]:
    return [schedule.factor(step, num_steps) for step in steps]


def test_constant_is_one_at_every_step() -> None:
    assert factors(make("constant"), [1, 50, 100]) == [1, 1, 1]


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "until_plateau"])
def test_all_share_the_start(name: str) -> None:
    schedule = make(name, start_step=10, warmup_steps=4)
    assert factors(schedule, [1, 10, 11, 12, 13, 14]) == [0, 0, 0.25, 0.5, 0.75, 1]


def test_linear() -> None:
    assert factors(make("linear"), [1, 25, 50, 100]) == pytest.approx([0.99, 0.75, 0.5, 0])
    schedule = make("linear", warmup_steps=10, decay_step=20, end_step=40, final=0.2)
    assert factors(schedule, [5, 10, 20, 30, 40, 90]) == pytest.approx([0.5, 1, 1, 0.6, 0.2, 0.2])


def test_cosine() -> None:
    schedule = make("cosine", decay_step=20, end_step=60, final=0.1)
    expected = [1, 1, 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2, 0.55, 0.1, 0.1]
    assert factors(schedule, [1, 20, 30, 40, 60, 100]) == pytest.approx(expected)


def test_a_run_shorter_than_the_decay_stops_within_it() -> None:
    assert factors(make("linear", end_step=100), [10], num_steps=10) == pytest.approx([0.9])


class TestUntilPlateau:
    def watched(self, scores: list[float], **options: Any) -> WeightSchedule:
        schedule = make("until_plateau", **options)
        for number, score in enumerate(scores, 1):
            schedule.observe(10 * number, score)
        return schedule

    def test_the_weight_ends_after_patience_validations_without_gain(self) -> None:
        schedule = self.watched([1.0, 2.0, 1.9, 2.1, 2.0, 2.1], patience=2)
        assert factors(schedule, [60, 61]) == [1, 0]
        assert factors(self.watched([1.0, 2.0, 1.9, 2.1, 2.0], patience=2), [51]) == [1]

    def test_it_stays_ended(self) -> None:
        assert factors(self.watched([1.0, 0.9, 5.0, 6.0], patience=1), [20, 21, 100]) == [1, 0, 0]

    def test_decay_and_final(self) -> None:
        schedule = self.watched([1.0, 0.9], patience=1, decay_steps=4, final=0.2)
        assert factors(schedule, [20, 21, 22, 24, 50]) == pytest.approx([1, 0.8, 0.6, 0.2, 0.2])

    def test_min_delta_and_scores_that_are_not_finite(self) -> None:
        assert factors(self.watched([1.0, 1.4, 1.8], patience=2, min_delta=0.5), [31]) == [1]
        assert factors(self.watched([1.0, 1.4, 1.5], patience=2, min_delta=0.5), [31]) == [0]
        assert factors(self.watched([1.0, NAN, NAN], patience=2), [31]) == [0]

    def test_validations_before_the_whole_weight_do_not_count(self) -> None:
        schedule = self.watched([9.0, 1.0, 2.0, 3.0], patience=1, start_step=10, warmup_steps=5)
        assert factors(schedule, [41]) == [1]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("linear", {"warmup_steps": 10, "decay_step": 5}, r"decay_step must be at least .* \(10\), got 5"),
        ("cosine", {"decay_step": 50, "end_step": 50}, "end_step must be greater than 50, where the decay begins"),
        ("linear", {"final": 1.5}, "must be at most 1"),
        ("until_plateau", {"patience": 0}, "must be at least 1"),
        ("constant", {"final": 0.5}, "unknown option"),
    ],
)
def test_impossible_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(name, **options)
