from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchaudio.functional import mask_along_axis

from aista.data.augmentations.spec_augment import SpecAugment


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("fill", ["mean", "zero"])
@pytest.mark.parametrize("fraction", [0.2, 1.0])
def test_masks_are_torchaudios_for_the_same_random_numbers(fill: Literal["mean", "zero"], fraction: float) -> None:
    features = torch.randn(120, 80)
    value = float(features.mean()) if fill == "mean" else 0.0
    augment = SpecAugment(max_time_fraction=fraction, fill=fill)
    for seed in range(50):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            expected = features
            for _ in range(2):
                expected = mask_along_axis(expected[None], 50, value, axis=1, p=fraction)[0]
            for _ in range(2):
                expected = mask_along_axis(expected[None], 27, value, axis=2)[0]
        torch.testing.assert_close(augment(features, generator(seed)), expected)


@given(num_frames=st.integers(1, 200), num_channels=st.integers(1, 100), seed=st.integers(0, 2**32))
def test_masks_keep_to_their_limits(num_frames: int, num_channels: int, seed: int) -> None:
    features = torch.ones(num_frames, num_channels)
    time = SpecAugment(num_time_masks=1, num_frequency_masks=0, fill="zero", max_time_width=30)
    hidden = (time(features, generator(seed)) == 0).all(dim=1).sum()
    assert int(hidden) <= min(30, 0.2 * num_frames)
    frequency = SpecAugment(num_time_masks=0, num_frequency_masks=1, fill="zero", max_frequency_width=27)
    hidden = (frequency(features, generator(seed)) == 0).all(dim=0).sum()
    assert int(hidden) <= min(27, num_channels)


def test_it_masks_something_leaves_its_input_alone_and_repeats_itself() -> None:
    features = torch.randn(200, 80)
    before = features.clone()
    augment = SpecAugment()
    first = augment(features, generator(1))
    assert torch.equal(features, before)
    assert not torch.equal(first, features)
    assert torch.equal(first, augment(features, generator(1)))
    assert not torch.equal(first, augment(features, generator(2)))


def test_it_leaves_the_global_random_state_alone() -> None:
    state = torch.get_rng_state()
    SpecAugment()(torch.randn(50, 80, generator=generator(0)), generator(1))
    assert torch.equal(state, torch.get_rng_state())
