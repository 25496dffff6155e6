import pytest
import torch

from aista.data.features.base import Feature
from aista.testing import feature as contract


class Correct(Feature):
    """Frames of 100 samples."""

    dim = 100
    sample_rate = 16000
    max_seconds = 2.0

    def __call__(self, wave):
        if len(wave) > self.max_seconds * self.sample_rate:
            raise ValueError(f"longer than {self.max_seconds} s")
        return torch.nn.functional.pad(wave, (0, -len(wave) % 100)).reshape(-1, 100)

    def num_frames(self, num_samples):
        return -(-num_samples // 100)


class Waveform(Correct):
    dim = 0

    def __call__(self, wave):
        return wave.clone()

    def num_frames(self, num_samples):
        return num_samples

    max_seconds = float("inf")


class OneTooMany(Correct):
    def num_frames(self, num_samples):
        return num_samples // 100 + 1


class DropsTheRest(Correct):
    def __call__(self, wave):
        return super().__call__(wave)[: len(wave) // 100]

    def num_frames(self, num_samples):
        return num_samples // 100


class LogOfSilence(Correct):
    def __call__(self, wave):
        return super().__call__(wave).abs().log().nan_to_num(neginf=-1e3) + (0 / wave.abs().sum())


class Double(Correct):
    def __call__(self, wave):
        return super().__call__(wave).double()


class Dithers(Correct):
    def __call__(self, wave):
        return super().__call__(wave) + 1e-3 * torch.randn(1)


class DrawsForNothing(Correct):
    def __call__(self, wave):
        torch.randn(1)
        return super().__call__(wave)


class InPlace(Correct):
    def __call__(self, wave):
        return super().__call__(wave.sub_(0.1))


class Forgetful(Correct):
    def __init__(self, gain=2.0):
        self.gain = gain

    def __reduce__(self):
        return Forgetful, (3.0,)

    def __call__(self, wave):
        return self.gain * super().__call__(wave)


class Cuts(Correct):
    def __call__(self, wave):
        return super().__call__(wave[: int(self.max_seconds * self.sample_rate)])


CASES = [
    (contract.check_shapes, OneTooMany, r"must give \[3, 100\], got \[2, 100\]"),
    (contract.check_shapes, DropsTheRest, "1 samples give no frame"),
    (contract.check_shapes, LogOfSilence, "silence gives values that are not finite"),
    (contract.check_shapes, Double, "features must be float32, got torch.float64"),
    (contract.check_pure, Dithers, "two calls with one waveform differ"),
    (contract.check_pure, DrawsForNothing, "it draws random numbers"),
    (contract.check_pure, InPlace, "the waveform is changed in place"),
    (contract.check_picklable, Forgetful, "the features differ after pickling"),
    (contract.check_too_long, Cuts, r"a waveform longer than max_seconds 2\.0 must raise ValueError"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_feature_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("correct", [Correct, Waveform])
@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_feature_passes(check, correct):
    check(correct())
