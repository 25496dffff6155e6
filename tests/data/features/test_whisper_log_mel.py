from __future__ import annotations

import pytest
import torch
from transformers import WhisperFeatureExtractor

from aista.data.features.whisper_log_mel import WhisperLogMel, WhisperLogMelConfig


@pytest.mark.parametrize("num_mels", [80, 128])
@pytest.mark.parametrize("num_samples", [1, 160, 161, 200, 12_345, 479_500, 479_841, 480_000])
def test_frames_equal_the_first_ones_of_the_padded_thirty_seconds(num_mels: int, num_samples: int) -> None:
    wave = 0.1 * torch.randn(num_samples, generator=torch.Generator().manual_seed(num_samples))
    extractor = WhisperFeatureExtractor(feature_size=num_mels)
    expected = torch.from_numpy(extractor(wave.numpy(), sampling_rate=16_000).input_features[0]).T
    feature = WhisperLogMel(WhisperLogMelConfig(num_mels=num_mels))
    features = feature(wave)
    assert features.shape == (feature.num_frames(num_samples), num_mels)
    torch.testing.assert_close(features, expected[: len(features)], atol=5e-6, rtol=0)
    assert len(features) == -(-num_samples // 160)


def test_the_maximum_counts_frames_that_lie_in_the_padding() -> None:
    """A click on the last sample is loudest in a frame beyond ceil(W / 160)."""
    wave = 1e-4 * torch.randn(1_600, generator=torch.Generator().manual_seed(0))
    wave[-1] = 1.0
    expected = WhisperFeatureExtractor()(wave.numpy(), sampling_rate=16_000).input_features[0].T
    features = WhisperLogMel(WhisperLogMelConfig())(wave)
    assert expected.argmax() // 80 >= len(features)
    torch.testing.assert_close(features, torch.from_numpy(expected[: len(features)]), atol=5e-6, rtol=0)


@pytest.mark.parametrize("num_samples", [12_345, 480_000, 480_001, 1_000_000])
def test_longer_recordings_are_pieces_of_thirty_seconds(num_samples: int) -> None:
    feature = WhisperLogMel(WhisperLogMelConfig())
    wave = 0.1 * torch.randn(num_samples, generator=torch.Generator().manual_seed(0))
    features = feature(wave)
    assert len(features) == feature.num_frames(num_samples) == -(-num_samples // 160)
    for start in range(0, num_samples, 480_000):
        frames = slice(start // 160, start // 160 + 3000)
        assert torch.equal(features[frames], feature(wave[start : start + 480_000]))


@pytest.mark.parametrize("num_samples", [1, 12_345, 480_000])
def test_padding_to_thirty_seconds_gives_all_frames_of_whisper(num_samples: int) -> None:
    wave = 0.1 * torch.randn(num_samples, generator=torch.Generator().manual_seed(0))
    expected = torch.from_numpy(WhisperFeatureExtractor()(wave.numpy(), sampling_rate=16_000).input_features[0]).T
    feature = WhisperLogMel(WhisperLogMelConfig(pad_to_30s=True))
    torch.testing.assert_close(feature(wave), expected, atol=5e-6, rtol=0)
    assert feature.num_frames(num_samples) == 3000
    assert feature.num_frames(480_001) == len(feature(torch.zeros(480_001))) == 6000
