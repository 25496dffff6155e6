"""What holds for every built-in adapter; each one's own arithmetic is tested beside it."""

import pytest
import torch

from aista import registry
from aista.modules.adapters.base import Adapter
from aista.schema import structure
from tests.modules.checks import check_follows_weight_dtype, check_padding, check_rows_are_independent, padded

VARIANTS = {
    "linear": ("linear", {}, 1),
    "linear_plain": ("linear", {"output_norm": False}, 1),
    "mlp": ("mlp", {"hidden_dim": 7}, 1),
    "conv": ("conv", {}, 4),
    "conv_list": ("conv", {"stride": [3, 2], "kernel_size": 4, "hidden_dim": 9}, 6),
    "conv_1": ("conv", {"stride": 1, "output_norm": False}, 1),
    "frame_stack": ("frame_stack", {}, 4),
    "frame_stack_mlp": ("frame_stack", {"stride": 3, "hidden_dim": 9}, 3),
}


def build(name: str, options: dict[str, object]) -> Adapter:
    entry = registry.get("adapter", name)
    torch.manual_seed(0)
    return entry.factory(structure(entry.config, options), input_dim=6, output_dim=10)


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def variant(request):
    name, options, stride = request.param
    return build(name, options), stride


def test_every_adapter_is_covered():
    assert {name for name, _, _ in VARIANTS.values()} >= {"linear", "mlp", "conv", "frame_stack"}


def test_shapes_and_lengths(variant):
    adapter, stride = variant
    positions, lengths = adapter(*padded([23, 1, 12], 6))
    assert lengths.tolist() == [-(-n // stride) for n in (23, 1, 12)]
    assert positions.shape == (3, -(-23 // stride), 10)


def test_padding_and_batch_never_matter(variant):
    check_padding(variant[0], *padded([23, 1, 12], 6))
    check_rows_are_independent(variant[0], *padded([23, 1, 12], 6))


def test_follows_the_dtype_of_its_weights(variant):
    check_follows_weight_dtype(variant[0], *padded([23, 12], 6))


@pytest.mark.parametrize("name", ["linear", "mlp", "conv", "frame_stack"])
def test_dropout_acts_in_training_only(name):
    adapter = build(name, {"dropout": 0.5})
    x = padded([12], 6)
    assert not torch.equal(adapter.train()(*x)[0], adapter(*x)[0])
    assert torch.equal(adapter.eval()(*x)[0], adapter(*x)[0])


@pytest.mark.parametrize("name", ["linear", "mlp", "conv", "frame_stack"])
@pytest.mark.parametrize("scale_of_states", [0.1, 30.0])
def test_output_norm_sets_the_scale(name, scale_of_states):
    adapter = build(name, {})
    adapter.match_output_scale(0.02)
    x, lengths = padded([40], 6)
    rms = adapter(scale_of_states * x, lengths)[0].square().mean().sqrt()
    torch.testing.assert_close(rms, torch.tensor(0.02), rtol=0.05, atol=0)


def test_scale_is_left_alone_without_output_norm():
    adapter = build("linear", {"output_norm": False})
    before = adapter(*padded([5], 6))[0]
    adapter.match_output_scale(0.02)
    assert torch.equal(adapter(*padded([5], 6))[0], before)


@pytest.mark.parametrize("name", ["linear", "mlp", "conv", "frame_stack"])
def test_learns(name):
    adapter = build(name, {})
    x, lengths = padded([16, 8], 6)
    target = torch.randn(*adapter(x, lengths)[0].shape, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(adapter.parameters(), 0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (adapter(x, lengths)[0] - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
