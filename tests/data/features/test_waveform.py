from __future__ import annotations

import numpy as np
import torch
from transformers import Wav2Vec2FeatureExtractor

from aista import registry
from aista.data.features.waveform import Waveform, WaveformConfig
from aista.schema import Component


def test_normalisation_is_that_of_wav2vec2() -> None:
    wave = 0.3 * torch.randn(4_000) + 0.1
    expected = Wav2Vec2FeatureExtractor(do_normalize=True)(wave.numpy(), sampling_rate=16_000).input_values[0]
    torch.testing.assert_close(Waveform(WaveformConfig())(wave), torch.from_numpy(np.asarray(expected)))


def test_plain_samples_stay_as_they_are() -> None:
    feature = Waveform(WaveformConfig(normalize=False, sample_rate=8_000))
    wave = torch.randn(100)
    assert feature(wave) is wave
    assert (feature.dim, feature.sample_rate, feature.num_frames(100)) == (0, 8_000, 100)


def test_it_says_whether_it_normalises() -> None:
    assert Waveform(WaveformConfig()).content == "normalized waveform"
    assert Waveform(WaveformConfig(normalize=False)).content == "plain waveform"


def test_one_sample_stays_finite() -> None:
    assert bool(torch.isfinite(Waveform(WaveformConfig())(torch.ones(1))).all())


def test_it_is_registered() -> None:
    assert isinstance(registry.build("feature", Component("waveform")), Waveform)
