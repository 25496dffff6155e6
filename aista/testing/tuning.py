"""Contracts of kind ``tuning``."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from aista.modules.tuning.base import Tuning
from aista.testing.contracts import contract
from aista.testing.dummies import DummyLanguageModel
from aista.testing.tensors import assert_close, assert_trainable, content_sum, ramp

LENGTHS = (7, 4)


def tuned_part(tuning: Tuning) -> DummyLanguageModel:
    """A small LLM of three blocks, prepared, with ``requires_grad`` as the tuning says."""
    part = DummyLanguageModel(num_layers=3)
    tuning.prepare(part)
    chosen = tuning.trainable(part)
    part.requires_grad_(False)
    for parameter in chosen:
        parameter.requires_grad_(True)
    return part


@contract("tuning")
def check_choice(tuning: Tuning) -> None:
    """It chooses parameters of the part, each once, and the same ones when asked again."""
    part = tuned_part(tuning)
    chosen = list(tuning.trainable(part))
    of_part = set(part.parameters())
    assert all(parameter in of_part for parameter in chosen), "trainable must give parameters of the part"
    assert len(set(chosen)) == len(chosen), "trainable gives a parameter twice"
    assert set(tuning.trainable(part)) == set(chosen), "trainable gives other parameters when asked again"


@contract("tuning")
def check_same_function(tuning: Tuning) -> None:
    """A prepared, untrained part computes the same as before."""
    part = DummyLanguageModel(num_layers=3).eval()
    before = _logits(part)
    tuning.prepare(part)
    assert_close(_logits(part.eval()), before, "preparing the part changes what it computes")


@contract("tuning")
def check_state(tuning: Tuning) -> None:
    """The state of a part loads into another one prepared in the same way, as for checkpoints."""
    part = tuned_part(tuning)
    _disturb(part)
    other = tuned_part(tuning)
    other.load_state_dict(tuning.starting_weights(other, copy.deepcopy(part.state_dict())))
    assert_close(_logits(other), _logits(part), "a part with the state of another computes something else")


@contract("tuning")
def check_starting_weights(tuning: Tuning) -> None:
    """Weights of a part that was trained without the tuning load into a prepared one."""
    plain = DummyLanguageModel(num_layers=3).eval()
    _disturb(plain, all_of_it=True)
    part = tuned_part(tuning)
    part.load_state_dict(tuning.starting_weights(part, plain.state_dict()))
    assert_close(_logits(part), _logits(plain), "with the weights of a plain part it computes something else")


@contract("tuning")
def check_gradients(tuning: Tuning) -> None:
    """Every chosen parameter affects the part's output, with a finite gradient."""
    part = tuned_part(tuning)
    assert_trainable(part, content_sum(_logits(part), torch.tensor(LENGTHS)))


@contract("tuning")
def check_merge(tuning: Tuning) -> None:
    """A merged part has the parameter names of a plain one, and computes the same as before."""
    part = tuned_part(tuning)
    _disturb(part)
    before = _logits(part)
    tuning.merge(part)
    plain = DummyLanguageModel(num_layers=3)
    assert part.state_dict().keys() == plain.state_dict().keys(), "merging leaves other weights than the part's own"
    assert_close(_logits(part), before, "merging changes what the part computes")


def _logits(part: DummyLanguageModel) -> Tensor:
    part.eval()
    ids = torch.tensor([[3, 5, 7, 9, 11, 13, 15], [4, 6, 8, 10, 0, 0, 0]])
    states, _ = part(part.embed(ids), torch.tensor(LENGTHS))
    return part.project(states)


@torch.no_grad()
def _disturb(part: nn.Module, *, all_of_it: bool = False) -> None:
    """Change the trained parameters, or all of them, like training."""
    for seed, parameter in enumerate(part.parameters()):
        if parameter.requires_grad or all_of_it:
            parameter.add_(ramp(*parameter.shape, seed=seed), alpha=0.1)
