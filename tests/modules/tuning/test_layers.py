import pytest
import torch
from torch import nn

from aista.errors import ConfigError
from aista.modules.tuning.layers import LayersConfig, LayersTuning
from aista.schema import resolve
from aista.testing.dummies import DummyAdapter, DummyLanguageModel


def chosen(part, **options):
    trained = set(LayersTuning(LayersConfig(**options)).trainable(part))
    return {name for name, parameter in part.named_parameters() if parameter in trained}


def names(part, *prefixes):
    return {name for name, _ in part.named_parameters() if name.startswith(prefixes)}


@pytest.mark.parametrize(
    ("options", "prefixes"),
    [
        ({}, ["blocks.2.", "blocks.3."]),
        ({"first": 1, "last": 1}, ["blocks.0.", "blocks.3."]),
        ({"first": 2, "last": 0}, ["blocks.0.", "blocks.1."]),
        ({"last": 1, "norms": True}, ["blocks.3.", "norm."]),
        ({"last": 0, "norms": True}, ["norm."]),
        ({"last": 1, "embeddings": True}, ["blocks.3.", "embedding."]),
        ({"first": 2, "last": 2}, ["blocks."]),
    ],
)
def test_what_is_chosen(options, prefixes):
    part = DummyLanguageModel(num_layers=4)
    assert chosen(part, **options) == names(part, *prefixes)
    assert chosen(part, **options)


def test_norms_of_frozen_blocks_are_found_by_every_librarys_name():
    class GemmaRMSNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

    part = nn.Module()
    part.layers = nn.ModuleList(nn.ModuleDict({"a": nn.Linear(2, 2), "n": GemmaRMSNorm()}) for _ in range(2))
    part.final = nn.LayerNorm(2)
    assert chosen(part, last=0, norms=True) == {"layers.0.n.weight", "layers.1.n.weight", "final.weight", "final.bias"}


@pytest.mark.parametrize(
    ("part", "options", "message"),
    [
        (
            DummyLanguageModel(num_layers=2),
            {"last": 3},
            r"at most 2 together.*got 0 and 3; .* the tuning 'full'",
        ),
        (DummyAdapter(), {}, "DummyAdapter has none; choose full, lora or frozen"),
        (DummyAdapter(), {"last": 0, "norms": True}, "norms: DummyAdapter has none; leave norms out"),
        (DummyAdapter(), {"last": 0, "embeddings": True}, "embeddings: DummyAdapter has none"),
    ],
)
def test_what_the_part_lacks(part, options, message):
    with pytest.raises(ValueError, match=message):
        chosen(part, **options)


def test_nothing_to_train_is_a_fault():
    with pytest.raises(ConfigError, match=r"must name something to train.*choose the tuning 'frozen'"):
        resolve("tuning", {"name": "layers", "config": {"last": 0}})
