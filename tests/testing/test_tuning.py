import pytest
import torch
from torch import nn

from aista.modules.tuning.full import FullTuning
from aista.testing import tuning as contract


class Foreign(FullTuning):
    def trainable(self, part):
        return [nn.Parameter(torch.zeros(1))]


class Twice(FullTuning):
    def trainable(self, part):
        return [part.embedding.weight, part.embedding.weight]


class Moody(FullTuning):
    asked = 0

    def trainable(self, part):
        self.asked += 1
        return list(part.parameters())[self.asked % 2 :]


class ChangesThePart(FullTuning):
    def prepare(self, part):
        with torch.no_grad():
            part.norm.weight.mul_(2)


class Unused(FullTuning):
    def prepare(self, part):
        part.extra = nn.Parameter(torch.zeros(1))


class ForgetsTheStart(Unused):
    def prepare(self, part):
        super().prepare(part)
        part.embedding.weight.data.zero_()

    def starting_weights(self, part, weights):
        return part.state_dict()


class KeepsNothing(FullTuning):
    def starting_weights(self, part, weights):
        return {name: torch.zeros_like(tensor) for name, tensor in weights.items()}


class MergesWrongly(FullTuning):
    def merge(self, part):
        part.embedding.weight.data.zero_()


CASES = [
    (contract.check_choice, Foreign, "must give parameters of the part"),
    (contract.check_choice, Twice, "gives a parameter twice"),
    (contract.check_choice, Moody, "gives other parameters when asked again"),
    (contract.check_same_function, ChangesThePart, "preparing the part changes what it computes"),
    (contract.check_state, KeepsNothing, "a part with the state of another computes something else"),
    (contract.check_starting_weights, ForgetsTheStart, "with the weights of a plain part"),
    (contract.check_gradients, Unused, r"trainable parameters get no gradient .*: extra"),
    (contract.check_merge, Unused, "merging leaves other weights than the part's own"),
    (contract.check_merge, MergesWrongly, "merging changes what the part computes"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_tuning_is_caught(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_right_tuning_passes(check):
    check(FullTuning())
