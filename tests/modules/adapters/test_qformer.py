import pytest
import torch
from torch.testing import assert_close

from aista import registry
from aista.errors import ConfigError
from aista.modules.adapters.qformer import QFormerAdapter, QFormerConfig
from aista.schema import resolve
from tests.modules.checks import padded


def build(**changes: object) -> QFormerAdapter:
    torch.manual_seed(0)
    options = {"num_queries": 3, "model_dim": 8, "num_heads": 2} | changes
    return QFormerAdapter(QFormerConfig(**options), input_dim=6, output_dim=4).eval()


def test_equals_its_blocks_row_by_row():
    adapter = build()
    x, lengths = padded([11, 4, 1], 6)
    out, out_lengths = adapter(x, lengths)
    assert out_lengths.tolist() == [3, 3, 3]
    inner = adapter.qformer
    for row, length in enumerate(lengths.tolist()):
        h = inner.queries[None]
        for block in inner.blocks:
            h = block(h, None, inner.memory_norm(x[row : row + 1, :length]))
        expected = adapter.output_norm(inner.projection(inner.norm(h)))[0]
        assert_close(out[row], expected, rtol=1e-4, atol=1e-5)


def test_frames_are_a_set():
    """Their order enters through the encoder's states alone."""
    adapter = build()
    x, lengths = padded([11], 6)
    assert_close(adapter(x.flip(1), lengths)[0], adapter(x, lengths)[0], rtol=1e-4, atol=1e-5)


def test_queries_differ_and_see_each_other():
    adapter = build()
    x, lengths = padded([11], 6)
    before = adapter(x, lengths)[0][0]
    assert not torch.allclose(before[0], before[1], atol=1e-2)
    adapter.qformer.queries.data[2, 0] += 1
    assert not torch.allclose(adapter(x, lengths)[0][0, 0], before[0], atol=1e-4)


@pytest.mark.parametrize("name", ["qformer", "window_qformer"])
def test_impossible_widths(name):
    spec = resolve("adapter", {"name": name, "config": {"num_heads": 5}})
    with pytest.raises(ConfigError, match=r"adapter.config: the encoder's width.*of num_heads, got 12 with 5 heads"):
        registry.build("adapter", spec, input_dim=12, output_dim=4)
