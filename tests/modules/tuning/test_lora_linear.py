"""The lean LoRA layer against peft's own."""

import pytest
import torch
from peft import LoraConfig as PeftConfig
from peft import inject_adapter_in_model
from torch import nn
from torch.utils.checkpoint import checkpoint

from aista.modules.tuning.lora import LoraConfig, LoraTuning
from aista.modules.tuning.lora_linear import LinearWithLora


def make_layers(dropout=0.0, dtype=torch.float32):
    """Ours and peft's, with the same weights."""
    layers = []
    for is_ours in (True, False):
        torch.manual_seed(0)
        part = nn.ModuleDict({"layer": nn.Linear(6, 5)}).requires_grad_(False).to(dtype)
        if is_ours:
            LoraTuning(LoraConfig(r=3, lora_alpha=7.0, lora_dropout=dropout)).prepare(part)
        else:
            options = {"r": 3, "lora_alpha": 7.0, "lora_dropout": dropout, "target_modules": ["layer"]}
            inject_adapter_in_model(PeftConfig(**options), part)
        layer = part["layer"]
        assert isinstance(layer, LinearWithLora) == is_ours
        generator = torch.Generator().manual_seed(1)
        for name, parameter in layer.named_parameters():
            if "lora_" in name:
                parameter.data = torch.randn(parameter.shape, generator=generator)
        layers.append(layer)
    return layers


def run(layer, x):
    x = x.clone().requires_grad_()
    y = layer(x)
    y.float().square().sum().backward()
    return [y, x.grad, *(p.grad for name, p in layer.named_parameters() if "lora_" in name)]


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 3, 6), (0, 6)])
def test_values_and_gradients_are_those_of_peft(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    for mine, theirs in zip(*(run(layer, x) for layer in make_layers()), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_updates_in_float32_over_bfloat16_weights_are_those_of_peft():
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(2)).to(torch.bfloat16)
    for mine, theirs in zip(*(run(layer, x) for layer in make_layers(dtype=torch.bfloat16)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_under_autocast_it_is_as_near_to_float32_as_peft_is():
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(2))
    layers = make_layers()
    with torch.no_grad():
        exact = layers[1](x)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        errors = [float((layer(x).float() - exact).norm()) for layer in layers]
    assert errors[0] < 1.2 * errors[1]


def test_merged_and_disabled_layers_are_those_of_peft():
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    ours, theirs = make_layers()
    for change in (
        lambda layer: layer.merge(),
        lambda layer: layer.unmerge(),
        lambda layer: layer.enable_adapters(False),
    ):
        change(ours)
        change(theirs)
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def make_dropping(p):
    """A layer whose output shows what was dropped: W and its bias are 0, A picks a channel, B passes it on."""
    part = nn.ModuleDict({"layer": nn.Linear(1, 1)})
    LoraTuning(LoraConfig(r=1, lora_alpha=1.0, lora_dropout=p)).prepare(part)
    layer = part["layer"].train()
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.fill_(1.0 if "lora_" in name else 0.0)
    return layer


@pytest.mark.parametrize("p", [0.05, 0.5, 0.95])
def test_dropout_has_its_probability_keeps_the_mean_and_drops_the_gradient(p):
    layer = make_dropping(p)
    torch.manual_seed(0)
    x = torch.ones(200_001, 1, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    kept = y > 0
    deviation = (p * (1 - p) / len(x)) ** 0.5
    assert abs(float((~kept).float().mean()) - p) < 5 * deviation
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 / (1 - p)), rtol=1e-3, atol=0)
    torch.testing.assert_close(x.grad, y)
    neighbours = (kept[1:] & kept[:-1]).float().mean()
    assert abs(float(neighbours) - (1 - p) ** 2) < 10 * deviation, "elements are not independent"


def test_dropout_follows_the_seed_and_survives_checkpointing():
    layer, x = make_dropping(0.5), torch.ones(64, 1, requires_grad=True)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(layer(x).detach())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    y = checkpoint(layer, x, use_reentrant=False)
    y.sum().backward()
    torch.testing.assert_close(x.grad, y)


def test_nothing_is_dropped_in_eval_mode():
    x = torch.ones(64, 1)
    torch.testing.assert_close(make_dropping(0.9).eval()(x), x)
