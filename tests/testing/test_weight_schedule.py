import pytest

from aista.losses.schedules.base import WeightSchedule
from aista.testing import weight_schedule as contract


class Half(WeightSchedule):
    """Half the weight, always."""

    start_step = 0

    def factor(self, step, num_steps):
        return 0.5


class Large(Half):
    def factor(self, step, num_steps):
        return 2.0 if step == 7 else 0.5


class Early(Half):
    start_step = 3


class Never(Half):
    def factor(self, step, num_steps):
        return 0.0


class Counts(Half):
    calls = 0

    def factor(self, step, num_steps):
        self.calls += 1
        return 0.5 + 0.001 * self.calls


class ListensInSecret(Half):
    heard = 0

    def observe(self, step, score):
        self.heard += 1

    def factor(self, step, num_steps):
        return 0.5 / (1 + self.heard)


class ForgetsOnResume(ListensInSecret):
    """Takes note only where it is asked in between, as a live run does and a resumed one does not."""

    watches_validation = True
    asked = 0

    def observe(self, step, score):
        self.heard += self.asked > 0

    def factor(self, step, num_steps):
        self.asked += 1
        return super().factor(step, num_steps)


CASES = [
    (contract.check_factor, Large, r"factors must lie in \[0, 1\], got 2.0 at step 7"),
    (contract.check_factor, Early, r"must be 0 up to start_step \(3\), is not at step \[1\]"),
    (contract.check_factor, Never, "the factor is 0 at every step"),
    (contract.check_factor, Counts, "depends on which steps were asked for before"),
    (contract.check_resume, ListensInSecret, "watches_validation is False"),
    (contract.check_resume, ForgetsOnResume, "after a resume the factor at step 101 is"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_schedule_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("check", [contract.check_factor, contract.check_resume])
def test_a_correct_schedule_passes(check):
    check(Half())
