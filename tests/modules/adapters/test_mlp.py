import torch
from torch.nn.functional import gelu
from torch.testing import assert_close

from aista.modules.adapters.mlp import MlpAdapter, MlpConfig
from tests.modules.checks import padded


def test_equals_the_formula_row_by_row():
    torch.manual_seed(0)
    adapter = MlpAdapter(MlpConfig(hidden_dim=5, output_norm=False), input_dim=6, output_dim=4)
    x, lengths = padded([7, 3], 6)
    out, _ = adapter(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        hidden = gelu(x[row, :length] @ adapter.inner.weight.T + adapter.inner.bias)
        assert_close(out[row, :length], hidden @ adapter.outer.weight.T + adapter.outer.bias)


def test_hidden_width_defaults_to_the_llms():
    assert MlpAdapter(MlpConfig(), input_dim=6, output_dim=4).inner.out_features == 4
