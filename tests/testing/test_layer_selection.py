from dataclasses import replace

import pytest

from aista.errors import RunError
from aista.selection.base import LayerSelection, ProbedSelection, SelectedLayers
from aista.testing import layer_selection as contract


class Fixed(LayerSelection):
    chosen = SelectedLayers((0, 1), (0.5, 0.5), "fixed")

    def __init__(self, **changes):
        self.chosen = replace(self.chosen, **changes)

    def select(self, curve):
        return self.chosen


class Best(ProbedSelection):
    """The layer that retrieval likes best."""

    probe_size = 10
    probe_layers = (0, 1, 2)

    def choose(self, curve):
        scores = curve.values()
        best = max(self.probe_layers, key=lambda layer: scores[layer])
        return SelectedLayers((best,), (1.0,), "the best")


class NeedsNothing(Best):
    def select(self, curve):
        return SelectedLayers((0,), (1.0,), "x") if curve is None else super().select(curve)


class NeedsAfterAll(LayerSelection):
    def select(self, curve):
        if curve is None:
            raise RunError("layers are missing")
        return SelectedLayers((0,), (1.0,), "x")


class Incomplete(Best):
    def select(self, curve):
        if curve is None:
            raise RunError("no curve")
        return SelectedLayers((curve.numbers[0],), (1.0,), "x")


class LooksAside(Best):
    def choose(self, curve):
        return SelectedLayers((max(curve.numbers),), (1.0,), "x")


class FirstOfCurve(Best):
    def choose(self, curve):
        return SelectedLayers((min(4, curve.layers[0].layer),), (1.0,), "x")


class Moody(Fixed):
    def select(self, curve):
        self.chosen = replace(self.chosen, reason=self.chosen.reason + "!")
        return self.chosen


class Outside(Best):
    probe_layers = (0, 9)


class TooFew(Best):
    probe_size = 1


def fixed(**changes):
    return lambda: Fixed(**changes)


CASES = [
    (contract.check_choice, fixed(layers=(), weights=()), "selects no layer"),
    (contract.check_choice, fixed(layers=(1, 0)), r"layers must ascend without repetition, got \(1, 0\)"),
    (contract.check_choice, fixed(layers=(1, 1)), "layers must ascend without repetition"),
    (contract.check_choice, fixed(layers=(0, 5)), r"layers must lie in 0\.\.4, got \(0, 5\)"),
    (contract.check_choice, fixed(weights=(1.0,)), "expects one weight per layer"),
    (contract.check_choice, fixed(weights=(1.5, -0.5)), "weights must not be negative"),
    (contract.check_choice, fixed(weights=(1.0, 1.0)), "weights must sum to 1, got 2.0"),
    (contract.check_choice, fixed(reason=" "), "gives no reason"),
    (contract.check_choice, fixed(reason="a\nb"), "the reason must be one line"),
    (contract.check_probe, NeedsNothing, "select must raise RunError without a curve"),
    (contract.check_probe, Incomplete, "select must raise RunError with a curve that lacks layers"),
    (contract.check_probe, LooksAside, "the choice depends on layers outside probe_layers"),
    (contract.check_probe, Outside, r"probe_layers must lie in 0\.\.4, got \(0, 9\)"),
    (contract.check_probe, TooFew, "retrieval needs at least 2 utterances, probe_size is 1"),
    (contract.check_deterministic, Moody, "two calls with one curve differ"),
    (contract.check_deterministic, FirstOfCurve, "the choice depends on the curve's order"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_selection_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("correct", [Fixed, Best])
@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_selection_passes(check, correct):
    check(correct())


def test_a_selection_that_needs_a_probe_must_say_so():
    with pytest.raises(RunError, match="layers are missing"):
        contract.check_probe(NeedsAfterAll())
