import pytest
import torch
from torch.testing import assert_close

from aista.errors import ConfigError
from aista.modules.adapters.conformer import ConformerAdapter, ConformerAdapterConfig
from aista.schema import structure
from tests.modules.checks import padded


def test_equals_its_parts_row_by_row():
    torch.manual_seed(0)
    config = ConformerAdapterConfig(stride=2, model_dim=8, num_heads=2, kernel_size=5)
    adapter = ConformerAdapter(config, input_dim=6, output_dim=4).eval()
    from fairseq2.models.transformer import AttentionBiasCache  # needs libsndfile, which the adapter loaded
    from fairseq2.nn import BatchLayout

    x, lengths = padded([11, 4, 1], 6)
    out, out_lengths = adapter(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        h, _ = adapter.reduction(x[row : row + 1, :length], lengths[row : row + 1])
        for block in adapter.stack.layers:
            h = block(h, BatchLayout.of(h), AttentionBiasCache())
        expected = adapter.output_norm(adapter.projection(h))[0]
        assert int(out_lengths[row]) == len(expected) == -(-length // 2)
        assert_close(out[row, : len(expected)], expected, rtol=1e-4, atol=1e-5)


def test_no_batch_statistics():
    adapter = ConformerAdapter(ConformerAdapterConfig(model_dim=8, num_heads=2), input_dim=6, output_dim=4)
    assert len(adapter.stack.layers) == 2
    assert not any(isinstance(module, torch.nn.modules.batchnorm._NormBase) for module in adapter.modules())


@pytest.mark.parametrize(
    ("options", "message"), [({"kernel_size": 4}, "kernel_size must be odd, got 4"), ({"stride": 3}, "power of two")]
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        structure(ConformerAdapterConfig, options)
