import pytest
import torch
from torch.nn.functional import gelu, layer_norm
from torch.testing import assert_close

from aista.errors import ConfigError
from aista.modules.adapters.conv import ConvAdapter, ConvConfig
from aista.schema import structure
from tests.modules.checks import padded


@pytest.mark.parametrize(("stride", "kernel_size"), [(4, 3), (2, 2), ((3, 2), 5), (1, 4)])
def test_equals_a_naive_loop(stride, kernel_size):
    """One output frame at a time: the window around ``stride * p``, zeros outside the utterance."""
    torch.manual_seed(0)
    config = ConvConfig(stride=stride, kernel_size=kernel_size, output_norm=False)
    adapter = ConvAdapter(config, input_dim=3, output_dim=4)
    x, lengths = padded([11, 4, 1], 3)
    out, out_lengths = adapter(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        h = x[row, :length]
        for step, conv in zip(config.strides, adapter.convs, strict=True):
            weight, bias = conv.conv.weight, conv.conv.bias
            frames = []
            for start in range(0, len(h), step):
                frame = bias.clone()
                for tap in range(kernel_size):
                    at = start + tap - (kernel_size - 1) // 2
                    if 0 <= at < len(h):
                        frame = frame + weight[:, :, tap] @ h[at]
                frames.append(gelu(layer_norm(frame, (3,))))
            h = torch.stack(frames)
        expected = h @ adapter.projection.weight.T + adapter.projection.bias
        assert int(out_lengths[row]) == len(expected)
        assert_close(out[row, : len(expected)], expected, rtol=1e-4, atol=1e-5)


def test_stride_is_a_total_or_a_list():
    assert structure(ConvConfig, {"stride": 8}).strides == (2, 2, 2)
    assert structure(ConvConfig, {"stride": [3, 1]}).strides == (3, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 6}, "power of two .*got 6"),
        ({"stride": [4]}, "kernel_size must be at least every stride.* 3 < 4"),
        ({"stride": []}, "at least one convolution, got an empty list"),
        ({"stride": 0}, "stride: must be at least 1, got 0"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        structure(ConvConfig, options)
