"""Contracts of kind ``augmentation``."""

from __future__ import annotations

import pickle

import torch
from torch import Tensor

from aista.data.augmentations.base import Augmentation
from aista.testing.contracts import contract
from aista.testing.tensors import assert_returned, ramp


@contract("augmentation")
def check_shapes(augmentation: Augmentation) -> None:
    """Dimensions and channels are kept, values finite, the input left alone; one frame is enough."""
    for length in (1, 2, 7, 200):
        features = _features(augmentation, length)
        before = features.clone()
        for seed in range(5):
            output = augmentation(features, torch.Generator().manual_seed(seed))
            assert_returned(output, Tensor, "the changed features")
            kept = output.shape[1:] == features.shape[1:] and output.dim() == features.dim() and len(output) >= 1
            assert kept, f"{list(features.shape)} became {list(output.shape)}"
            assert torch.isfinite(output).all(), f"an input of length {length} gives values that are not finite"
            assert torch.equal(features, before), "the input is changed in place"


@contract("augmentation")
def check_randomness(augmentation: Augmentation) -> None:
    """All randomness comes from the generator: same seed, same output; other seeds, other outputs."""
    features = _features(augmentation, 200)
    state = torch.get_rng_state()
    outputs = [augmentation(features, torch.Generator().manual_seed(seed)) for seed in range(8)]
    assert torch.equal(torch.get_rng_state(), state), "it draws from torch's global generator"
    torch.rand(3)
    again = augmentation(features, torch.Generator().manual_seed(0))
    assert _equal(again, outputs[0]), "one seed gives different outputs"
    assert any(not _equal(output, outputs[0]) for output in outputs[1:]), "eight seeds give one and the same output"


@contract("augmentation")
def check_picklable(augmentation: Augmentation) -> None:
    """It survives pickling (worker processes) and then gives the same."""
    features = _features(augmentation, 200)
    again = pickle.loads(pickle.dumps(augmentation))
    outputs = [one(features, torch.Generator().manual_seed(1)) for one in (augmentation, again)]
    assert _equal(*outputs), "the output differs after pickling"


def _features(augmentation: Augmentation, length: int) -> Tensor:
    return ramp(length, 80) if augmentation.needs_frames else 0.1 * ramp(length)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)
