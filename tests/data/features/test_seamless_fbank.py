from __future__ import annotations

import pytest
import torch
from transformers import SeamlessM4TFeatureExtractor

from aista import registry
from aista.data.features.seamless_fbank import SeamlessFbank
from aista.schema import Component


@pytest.mark.parametrize("num_samples", [720, 880, 4_000, 16_001, 16_160, 50_000])
def test_frames_are_those_that_the_extractors_mask_keeps(num_samples: int) -> None:
    wave = 0.1 * torch.randn(num_samples, generator=torch.Generator().manual_seed(num_samples))
    expected = SeamlessM4TFeatureExtractor()(wave.numpy(), sampling_rate=16_000, return_tensors="pt")
    kept = expected.input_features[0][expected.attention_mask[0].bool()]
    features = SeamlessFbank()(wave)
    assert features.shape == kept.shape == (SeamlessFbank().num_frames(num_samples), 160)
    torch.testing.assert_close(features, kept, atol=1e-3, rtol=0)


def test_clips_below_35_ms_are_completed_with_silence() -> None:
    wave = 0.1 * torch.randn(300, generator=torch.Generator().manual_seed(0))
    feature = SeamlessFbank()
    completed = torch.cat([wave, torch.zeros(260)])
    assert torch.equal(feature(wave), feature(completed))
    assert [feature.num_frames(n) for n in (1, 399, 400, 559, 560, 879, 880)] == [1, 1, 1, 1, 1, 1, 2]


def test_loudness_does_not_matter() -> None:
    wave = 0.1 * torch.randn(16_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(SeamlessFbank()(0.1 * wave), SeamlessFbank()(wave), atol=1e-3, rtol=0)


def test_it_is_registered() -> None:
    assert isinstance(registry.build("feature", Component("seamless_fbank")), SeamlessFbank)
