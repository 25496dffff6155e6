from __future__ import annotations

import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchaudio.functional import melscale_fbanks

from aista import registry
from aista.data.features.log_mel import LogMel, LogMelConfig
from aista.errors import ConfigError
from aista.schema import Component

PLAIN = LogMel(LogMelConfig(normalize="none"))
NORMALISED = LogMel(LogMelConfig())


@given(num_samples=st.integers(1, 3_000))
def test_num_frames_is_the_true_length_for_clips_of_any_length(num_samples: int) -> None:
    features = NORMALISED(torch.linspace(-1, 1, num_samples))
    assert features.shape == (NORMALISED.num_frames(num_samples), 80)
    assert bool(torch.isfinite(features).all())


def test_values_follow_the_definition() -> None:
    wave = torch.randn(1_000, dtype=torch.float64)
    padded = torch.nn.functional.pad(wave, (200, 200))
    window = torch.hann_window(400, dtype=torch.float64)
    frames = torch.stack([padded[start : start + 400] * window for start in range(0, 1_001, 160)])
    power = torch.fft.rfft(frames).abs() ** 2
    mel = power @ melscale_fbanks(201, 0.0, 8_000.0, 80, 16_000).double()
    expected = mel.clamp(min=1e-10).log()
    torch.testing.assert_close(PLAIN(wave.float()).double(), expected, atol=1e-3, rtol=1e-3)


def test_utterance_normalisation_gives_zero_mean_and_unit_variance_per_channel() -> None:
    features = NORMALISED(torch.randn(16_000))
    torch.testing.assert_close(features.mean(dim=0), torch.zeros(80), atol=1e-4, rtol=0)
    torch.testing.assert_close(features.std(dim=0, correction=0), torch.ones(80), atol=1e-3, rtol=0)


def test_normalised_features_do_not_depend_on_the_loudness() -> None:
    wave = torch.randn(8_000)
    torch.testing.assert_close(NORMALISED(wave), NORMALISED(0.01 * wave), atol=1e-3, rtol=0)


def test_silence_sits_on_the_floor() -> None:
    torch.testing.assert_close(PLAIN(torch.zeros(400)), torch.full((3, 80), math.log(1e-10)))


def test_window_and_hop_follow_the_sample_rate() -> None:
    feature = LogMel(LogMelConfig(sample_rate=8_000, num_mels=40, hop_ms=20))
    assert feature(torch.randn(1_600)).shape == (feature.num_frames(1_600), 40) == (11, 40)


@pytest.mark.parametrize("num_mels", [150, 201, 500])
def test_more_channels_than_the_window_resolves_are_refused(num_mels: int) -> None:
    with pytest.raises(ValueError, match=rf"got {num_mels} channels for 201 bins; lower num_mels or raise window_ms"):
        LogMel(LogMelConfig(num_mels=num_mels))


def test_a_window_without_samples_is_refused_with_its_place_in_the_config() -> None:
    spec = Component("log_mel", LogMelConfig(hop_ms=0.01))
    with pytest.raises(ConfigError, match=r"data\.feature\.config: window_ms and hop_ms must span samples, got 25"):
        registry.build("feature", spec, at="data.feature")


def test_it_survives_pickling() -> None:
    wave = torch.randn(1_000)
    assert torch.equal(pickle.loads(pickle.dumps(NORMALISED))(wave), NORMALISED(wave))
