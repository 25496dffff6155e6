import pytest
import torch

from aista.data.resampling import resample, resample_blocks


@pytest.mark.parametrize(("old", "new"), [(8_000, 16_000), (44_100, 16_000), (48_000, 16_000), (16_000, 44_100)])
@pytest.mark.parametrize("size", [1, 300, 4_001, 100_000])
def test_blocks_give_what_the_whole_gives(old, new, size):
    length = 1_999 if size == 1 else 50_003
    wave = torch.randn(length, generator=torch.Generator().manual_seed(1))
    blocks = torch.cat(list(resample_blocks(wave.split(size), old, new)))
    torch.testing.assert_close(blocks, resample(wave, old, new), atol=1e-5, rtol=0)


def test_few_samples_and_none():
    wave = torch.ones(3)
    torch.testing.assert_close(torch.cat(list(resample_blocks([wave], 48_000, 16_000))), resample(wave, 48_000, 16_000))
    assert list(resample_blocks([], 48_000, 16_000)) == []


def test_an_equal_rate_leaves_blocks_alone():
    wave = torch.ones(3)
    assert resample(wave, 16_000, 16_000) is wave
    assert next(iter(resample_blocks([wave], 16_000, 16_000))) is wave
