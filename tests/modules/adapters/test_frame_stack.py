import pytest
import torch
from torch.nn.functional import gelu
from torch.testing import assert_close

from aista.modules.adapters.frame_stack import FrameStackAdapter, FrameStackConfig
from tests.modules.checks import padded


@pytest.mark.parametrize("stride", [1, 3, 4])
@pytest.mark.parametrize("hidden_dim", [None, 5])
def test_equals_a_naive_loop(stride, hidden_dim):
    torch.manual_seed(0)
    config = FrameStackConfig(stride=stride, hidden_dim=hidden_dim, output_norm=False)
    adapter = FrameStackAdapter(config, input_dim=3, output_dim=4)
    x, lengths = padded([11, 4, 1], 3)
    out, out_lengths = adapter(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        starts = range(0, length, stride)
        assert int(out_lengths[row]) == len(starts)
        for position, start in enumerate(starts):
            frames = [x[row, at] if at < length else torch.zeros(3) for at in range(start, start + stride)]
            h = torch.cat(frames)
            if hidden_dim is not None:
                h = gelu(adapter.inner.weight @ h + adapter.inner.bias)
            assert_close(out[row, position], adapter.projection.weight @ h + adapter.projection.bias)
