"""Contracts of kind ``feature``."""

from __future__ import annotations

import math
import pickle

import torch

from aista.data.features.base import Feature
from aista.testing.contracts import contract
from aista.testing.tensors import assert_raises, assert_returned, ramp

SAMPLES = (1, 200, 401, 3999, 16000)


@contract("feature")
def check_shapes(feature: Feature) -> None:
    """``[F, dim]`` frames (``[W]`` where dim is 0), as many as ``num_frames`` says, finite, from one sample on."""
    for samples in SAMPLES:
        output = feature(0.1 * ramp(samples))
        assert_returned(output, torch.Tensor, "frames [F, dim]")
        frames = feature.num_frames(samples)
        expected = [frames] if feature.dim == 0 else [frames, feature.dim]
        assert list(output.shape) == expected, f"{samples} samples must give {expected}, got {list(output.shape)}"
        assert frames >= 1, f"{samples} samples give no frame"
        assert torch.isfinite(output).all(), f"{samples} samples give values that are not finite"
        assert output.dtype == torch.float32, f"features must be float32, got {output.dtype}"
    assert torch.isfinite(feature(torch.zeros(4000))).all(), "silence gives values that are not finite"
    assert feature.sample_rate > 0, f"sample_rate must be above 0 Hz, got {feature.sample_rate}"


@contract("feature")
def check_pure(feature: Feature) -> None:
    """The same waveform gives the same features; the waveform is left alone."""
    wave = 0.1 * ramp(4000)
    before = wave.clone()
    first, state = feature(wave), torch.get_rng_state()
    assert torch.equal(wave, before), "the waveform is changed in place"
    assert torch.equal(feature(wave), first), "two calls with one waveform differ"
    assert torch.equal(torch.get_rng_state(), state), "it draws random numbers; that is for augmentations"


@contract("feature")
def check_picklable(feature: Feature) -> None:
    """It survives pickling (worker processes) and then gives the same features."""
    wave = 0.1 * ramp(4000)
    again = pickle.loads(pickle.dumps(feature))
    assert torch.equal(again(wave), feature(wave)), "the features differ after pickling"


@contract("feature")
def check_too_long(feature: Feature) -> None:
    """A waveform beyond ``max_seconds`` is refused with ValueError, never cut."""
    if math.isinf(feature.max_seconds):
        return
    wave = torch.zeros(int(feature.max_seconds * feature.sample_rate) + feature.sample_rate)
    with assert_raises(ValueError, f"a waveform longer than max_seconds {feature.max_seconds} must raise ValueError"):
        feature(wave)
