import torch
from torch.nn.functional import layer_norm
from torch.testing import assert_close

from aista.modules.adapters.linear import LinearAdapter, LinearConfig
from tests.modules.checks import padded


def test_equals_the_formula_row_by_row():
    torch.manual_seed(0)
    adapter = LinearAdapter(LinearConfig(), input_dim=6, output_dim=4)
    x, lengths = padded([7, 3], 6)
    out, _ = adapter(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        expected = layer_norm(x[row, :length] @ adapter.projection.weight.T + adapter.projection.bias, (4,))
        assert_close(out[row, :length], expected)
