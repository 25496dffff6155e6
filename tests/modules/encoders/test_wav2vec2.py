import dataclasses

import pytest
import torch

from aista import registry
from aista.errors import ConfigError, DataError
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.encoders.wav2vec2 import Wav2Vec2Config, Wav2Vec2Encoder
from aista.schema import Component, structure
from tests.modules.checks import check_follows_weight_dtype, check_padding, check_rows_are_independent, padded

TINY = Wav2Vec2Config(
    model_dim=16,
    num_layers=2,
    num_heads=2,
    ffn_dim=24,
    conv_dim=8,
    conv_kernels=(6, 4, 2),
    conv_strides=(4, 2, 2),
    position_kernel=4,
    position_groups=4,
    max_samples=400,
)


def build(**changes: object) -> SpeechEncoder:
    torch.manual_seed(0)
    return Wav2Vec2Encoder(dataclasses.replace(TINY, **changes), feature_dim=0)


def conv_length(length: int) -> int:
    for kernel, stride in ((6, 4), (4, 2), (2, 2)):
        length = len(range(0, length - kernel + 1, stride))
    return length


def test_shapes_and_lengths():
    encoder = build()
    states, lengths = encoder(*padded([333, 100, 57]))
    assert lengths.tolist() == [conv_length(n) for n in (333, 100, 57)]
    assert states.shape == (3, int(lengths.max()), 16)
    assert encoder.output_dim == 16
    assert len(encoder.layers) == 2


def test_default_convolutions_give_50_states_a_second():
    encoder = build(conv_kernels=(10, 3, 3, 3, 3, 2, 2), conv_strides=(5, 2, 2, 2, 2, 2, 2), max_samples=16_000)
    _, lengths = encoder(*padded([16_000, 400]))
    assert lengths.tolist() == [49, 1]
    with pytest.raises(DataError, match=r"row 0 .*399 samples.*at least 400"):
        encoder(*padded([399]))


@pytest.mark.parametrize(
    "options", [{}, {"conv_norm": "group", "norm_order": "post"}, {"layers": "weighted", "conv_bias": True}]
)
def test_padding_and_batch_never_matter(options):
    check_padding(build(**options), *padded([203, 60, 101]))
    check_rows_are_independent(build(**options), *padded([203, 60, 101]))


def test_follows_the_dtype_of_its_weights():
    check_follows_weight_dtype(build(), *padded([203, 60]))


def test_gradient_of_the_convolutions_is_scaled():
    gradients = []
    for scale in (1.0, 0.25):
        encoder = build(conv_grad_scale=scale, dropout=0.0).train()
        encoder(*padded([203]))[0].pow(3).sum().backward()
        gradients.append(encoder.frontend.feature_extractor.layers[0].conv.weight.grad)
    torch.testing.assert_close(gradients[1], 0.25 * gradients[0], rtol=1e-3, atol=1e-6)


def test_features_are_refused():
    with pytest.raises(ConfigError, match=r"wav2vec2 reads raw waveforms.*80 channels.*conformer"):
        registry.build("encoder", Component("wav2vec2"), feature_dim=80)


def test_lengths_out_of_bounds():
    with pytest.raises(DataError, match=r"row 1 .* 401 samples.*at most 400.*max_samples"):
        build()(*padded([100, 401]))
    shortest = next(n for n in range(1, 99) if conv_length(n) >= 1)
    assert build()(*padded([shortest]))[1].tolist() == [1]
    with pytest.raises(DataError, match=f"{shortest - 1} samples.*at least {shortest}"):
        build()(*padded([100, shortest - 1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conv_kernels": [3], "conv_strides": [2, 2]}, "equally many and at least one, got 1 and 2"),
        ({"conv_kernels": [], "conv_strides": []}, "equally many and at least one, got 0 and 0"),
        ({"num_heads": 5}, "num_heads must divide model_dim, got 5 and 768"),
        ({"position_groups": 7}, "position_groups must divide model_dim, got 7 and 768"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        structure(Wav2Vec2Config, options)
