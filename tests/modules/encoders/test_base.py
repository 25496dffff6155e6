"""What the base class does for every encoder."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from aista.errors import DataError
from aista.modules.encoders.base import SpeechEncoder


class Echo(SpeechEncoder):
    length_range = (2, 5)
    max_length_option = "max_frames"
    layers = nn.ModuleList()

    def encode(self, audio, lengths):
        return audio, lengths

    def output_lengths(self, lengths):
        return lengths


@pytest.mark.parametrize("shape", [(), (3,)])
def test_padding_is_cleared(shape):
    audio = torch.full((2, 6, *shape), torch.nan)
    audio[0, :4], audio[1, :2] = 1.0, 2.0
    states, lengths = Echo()(audio, torch.tensor([4, 2]))
    expected = torch.tensor([[1.0, 1, 1, 1, 0, 0], [2, 2, 0, 0, 0, 0]])
    assert_close(states, expected if not shape else expected[..., None].expand(2, 6, 3))
    assert lengths.tolist() == [4, 2]


@pytest.mark.parametrize(
    ("lengths", "shape", "message"),
    [
        ([5, 1], (), r"row 1 .* 1 samples; the encoder takes at least 2; drop the row, or raise data\.min_seconds"),
        ([0, 5], (3,), "row 0 .* 0 feature frames; .* at least 2"),
        ([6, 1], (3,), "row 0 .* 6 feature frames; .* at most 5; drop the row, raise max_frames, or lower"),
    ],
)
def test_a_row_out_of_range_is_named(lengths, shape, message):
    with pytest.raises(DataError, match=message):
        Echo()(torch.zeros(2, 6, *shape), torch.tensor(lengths))
