import pytest
import torch

from aista.data.augmentations.base import Augmentation
from aista.testing import augmentation as contract


class Correct(Augmentation):
    """A random gain."""

    needs_frames = True

    def __call__(self, features, generator):
        return features * (0.5 + torch.rand(1, generator=generator))


class OnWaves(Correct):
    needs_frames = False


class LosesChannels(Correct):
    def __call__(self, features, generator):
        return super().__call__(features, generator)[:, :-1]


class LosesShortOnes(Correct):
    def __call__(self, features, generator):
        return super().__call__(features, generator)[len(features) // 10 + (len(features) < 2) :]


class Standardises(Correct):
    def __call__(self, features, generator):
        return super().__call__(features, generator) / features.std(0)


class InPlace(Correct):
    def __call__(self, features, generator):
        return features.mul_(0.5 + torch.rand(1, generator=generator))


class GlobalGenerator(Correct):
    def __call__(self, features, generator):
        return features * torch.rand(1)


class Counts(Correct):
    calls = 0

    def __call__(self, features, generator):
        self.calls += 1
        return features * self.calls


class Constant(Correct):
    def __call__(self, features, generator):
        return features * 0.5


class Forgetful(Correct):
    def __init__(self, gain=1.0):
        self.gain = gain

    def __reduce__(self):
        return Forgetful, (3.0,)

    def __call__(self, features, generator):
        return self.gain * super().__call__(features, generator)


CASES = [
    (contract.check_shapes, LosesChannels, r"\[1, 80\] became \[1, 79\]"),
    (contract.check_shapes, LosesShortOnes, r"\[1, 80\] became \[0, 80\]"),
    (contract.check_shapes, Standardises, "an input of length 1 gives values that are not finite"),
    (contract.check_shapes, InPlace, "the input is changed in place"),
    (contract.check_randomness, GlobalGenerator, "it draws from torch's global generator"),
    (contract.check_randomness, Counts, "one seed gives different outputs"),
    (contract.check_randomness, Constant, "eight seeds give one and the same output"),
    (contract.check_picklable, Forgetful, "the output differs after pickling"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
@pytest.mark.filterwarnings(r"ignore:std\(\). degrees of freedom is <= 0")
def test_a_broken_augmentation_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("correct", [Correct, OnWaves])
@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_augmentation_passes(check, correct):
    check(correct())
