import pytest
import torch
from torch.testing import assert_close

from aista.modules.adapters.qformer import QFormerAdapter, QFormerConfig
from aista.modules.adapters.window_qformer import WindowQFormerAdapter, WindowQFormerConfig
from tests.modules.checks import padded


@pytest.mark.parametrize("num_queries", [1, 2])
@pytest.mark.parametrize("window", [1, 4])
def test_equals_a_qformer_on_each_window(num_queries, window):
    torch.manual_seed(0)
    options = {"num_queries": num_queries, "model_dim": 8, "num_heads": 2}
    adapter = WindowQFormerAdapter(WindowQFormerConfig(window=window, **options), input_dim=6, output_dim=4).eval()
    one = QFormerAdapter(QFormerConfig(**options), input_dim=6, output_dim=4).eval()
    one.load_state_dict(adapter.state_dict())
    x, lengths = padded([11, 4, 1], 6)
    out, out_lengths = adapter(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        pieces = [x[row : row + 1, start : min(start + window, length)] for start in range(0, length, window)]
        expected = torch.cat([one(piece, torch.tensor([piece.size(1)]))[0][0] for piece in pieces])
        assert int(out_lengths[row]) == len(expected) == num_queries * len(pieces)
        assert_close(out[row, : len(expected)], expected, rtol=1e-4, atol=1e-5)


def test_a_window_sees_nothing_else():
    torch.manual_seed(0)
    config = WindowQFormerConfig(window=4, model_dim=8, num_heads=2)
    adapter = WindowQFormerAdapter(config, input_dim=6, output_dim=4).eval()
    x, lengths = padded([12], 6)
    changed = x.clone()
    changed[0, 4:8] += 1
    same = (adapter(x, lengths)[0] == adapter(changed, lengths)[0]).all(-1)[0]
    assert same.tolist() == [True, False, True]
