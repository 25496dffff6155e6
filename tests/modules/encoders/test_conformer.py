import dataclasses

import pytest
import torch

from aista import registry
from aista.errors import ConfigError, DataError
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.encoders.conformer import ConformerConfig, ConformerEncoder
from aista.schema import Component, structure
from tests.modules.checks import check_follows_weight_dtype, check_padding, check_rows_are_independent, padded

TINY = ConformerConfig(model_dim=16, num_layers=2, num_heads=2, ffn_dim=24, kernel_size=5, max_frames=40)
POSITIONS = ["relative", "rotary", "sinusoidal"]


def build(**changes: object) -> SpeechEncoder:
    torch.manual_seed(0)
    return ConformerEncoder(dataclasses.replace(TINY, **changes), feature_dim=6)


@pytest.mark.parametrize("subsampling", [1, 2, 4, 8])
def test_shapes_and_lengths(subsampling):
    encoder = build(subsampling=subsampling)
    states, lengths = encoder(*padded([17, 1, 8], 6))
    assert lengths.tolist() == [-(-n // subsampling) for n in (17, 1, 8)]
    assert states.shape == (3, int(lengths.max()), 16)
    assert encoder.output_dim == 16
    assert len(encoder.layers) == 2


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("subsampling", [1, 4])
def test_padding_and_batch_never_matter(positions, subsampling):
    encoder = build(positions=positions, subsampling=subsampling)
    check_padding(encoder, *padded([21, 1, 10], 6))
    check_rows_are_independent(encoder, *padded([21, 1, 10], 6))


@pytest.mark.parametrize("positions", POSITIONS)
def test_order_matters(positions):
    encoder = build(positions=positions, kernel_size=1, subsampling=1).eval()
    for convolution in encoder.subsampling.convs:  # keep only the middle tap, so that attention alone sees the order
        convolution.conv.weight.data[:, :, [0, 2]] = 0
    x, lengths = padded([12], 6)
    with torch.no_grad():
        forward, backward = encoder(x, lengths)[0], encoder(x.flip(1), lengths)[0]
    assert not torch.allclose(forward, backward.flip(1), atol=1e-3)


def test_rows_are_independent_in_training_too():
    encoder = build(dropout=0.0).train()
    x, lengths = padded([20, 9], 6)
    together, state_lengths = encoder(x, lengths)
    alone, _ = encoder(x[1:, :9], lengths[1:])
    torch.testing.assert_close(together[1, : int(state_lengths[1])], alone[0], rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only():
    encoder = build(dropout=0.5)
    x = padded([20], 6)
    assert not torch.equal(encoder.train()(*x)[0], encoder(*x)[0])
    assert torch.equal(encoder.eval()(*x)[0], encoder(*x)[0])


def test_follows_the_dtype_of_its_weights():
    check_follows_weight_dtype(build(), *padded([20, 9], 6))


def test_learns():
    encoder = build(dropout=0.0, subsampling=2)
    x, lengths = padded([20, 12], 6)
    target = torch.randn(2, 10, 16, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(encoder.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (encoder(x, lengths)[0] - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_no_batch_statistics():
    assert not any(isinstance(module, torch.nn.modules.batchnorm._NormBase) for module in build().modules())


def test_raw_waveforms_are_refused():
    with pytest.raises(
        ConfigError, match=r"encoder.config: conformer reads features .*raw waveforms.*log-mel.*wav2vec2"
    ):
        registry.build("encoder", Component("conformer"), at="encoder", feature_dim=0)


@pytest.mark.parametrize(
    ("length", "message"), [(41, "row 1 .* 41 feature frames.*at most 40.*max_frames"), (0, "at least 1")]
)
def test_lengths_out_of_bounds(length, message):
    with pytest.raises(DataError, match=message):
        build()(torch.zeros(2, 41, 6), torch.tensor([5, length]))


@pytest.mark.parametrize("subsampling", [1, 4, 8])
@pytest.mark.parametrize("positions", POSITIONS)
def test_max_frames_fit(positions, subsampling):
    states, _ = build(positions=positions, subsampling=subsampling, max_frames=37)(*padded([37], 6))
    assert states.size(1) == -(-37 // subsampling)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_dim": 18, "num_heads": 4}, "multiple of 2 \\* num_heads, got 18 with 4 heads"),
        ({"kernel_size": 4}, "kernel_size must be odd, got 4"),
        ({"subsampling": 3}, "subsampling: expects one of 1, 2, 4, 8, got 3"),
        ({"positions": "none"}, "positions: expects one of 'relative', 'rotary', 'sinusoidal', got 'none'"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        structure(ConformerConfig, options)
