import pytest
import torch
from torch.testing import assert_close

from aista import registry
from aista.errors import ConfigError
from aista.modules.adapters.transformer import TransformerAdapter, TransformerConfig
from aista.schema import resolve, structure
from tests.modules.checks import padded

TINY = TransformerConfig(stride=2, model_dim=8, num_heads=2, num_layers=2, dropout=0.0)


def build(**changes: object) -> TransformerAdapter:
    torch.manual_seed(0)
    options = {"stride": 1, "model_dim": 8, "num_heads": 2, "num_layers": 1} | changes
    return TransformerAdapter(TransformerConfig(**options), input_dim=6, output_dim=4).eval()


def test_equals_its_parts_row_by_row():
    torch.manual_seed(0)
    adapter = TransformerAdapter(TINY, input_dim=6, output_dim=4).eval()
    x, lengths = padded([11, 4, 1], 6)
    out, out_lengths = adapter(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        h, _ = adapter.reduction(x[row : row + 1, :length], lengths[row : row + 1])
        for block in adapter.blocks:
            h = block(h, None)
        expected = adapter.output_norm(adapter.projection(adapter.norm(h)))[0]
        assert int(out_lengths[row]) == len(expected) == -(-length // 2)
        assert_close(out[row, : len(expected)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["transformer", "conformer"])
def test_all_positions_see_each_other_and_their_order(name):
    options = {"stride": 1, "model_dim": 8, "num_heads": 2, "num_layers": 1}
    torch.manual_seed(0)
    spec = resolve("adapter", {"name": name, "config": options})
    adapter = registry.build("adapter", spec, input_dim=6, output_dim=4).eval()
    x, lengths = padded([20], 6)
    changed = x.clone()
    changed[0, 19] += 1
    assert (adapter(x, lengths)[0][0, 0] != adapter(changed, lengths)[0][0, 0]).any()


def test_order_matters():
    adapter = build(stride_kernel_size=3)
    adapter.reduction.convs[0].conv.weight.data[:, :, [0, 2]] = 0  # so that attention alone can see the order
    x, lengths = padded([12], 6)
    with torch.no_grad():
        assert not torch.allclose(adapter(x, lengths)[0], adapter(x.flip(1), lengths)[0].flip(1), atol=1e-3)


def test_no_length_is_too_long():
    x, lengths = padded([3000], 6)
    assert build(model_dim=4)(x, lengths)[0].isfinite().all()


@pytest.mark.parametrize("name", ["transformer", "conformer"])
def test_impossible_widths(name):
    spec = resolve("adapter", {"name": name, "config": {"num_heads": 4}})
    with pytest.raises(
        ConfigError, match=r"adapter.config: the encoder's width.*multiple of 2 \* num_heads, got 12 with 4"
    ):
        registry.build("adapter", spec, input_dim=12, output_dim=4)
    spec = resolve("adapter", {"name": name, "config": {"num_heads": 3, "model_dim": 8}})
    with pytest.raises(ConfigError, match=r"model_dim must be a multiple .*got 8 with 3 heads; choose another"):
        registry.build("adapter", spec, input_dim=12, output_dim=4)


def test_impossible_options():
    with pytest.raises(ConfigError, match=r"power of two .*got 6"):
        structure(TransformerConfig, {"stride": 6})
