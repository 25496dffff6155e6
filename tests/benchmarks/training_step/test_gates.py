from functools import partial

import pytest
import torch
from torch import nn

from benchmarks.training_step.gates import check
from benchmarks.training_step.systems import CE_ONLY, PLAIN, Step

ALIGNED = "aista, aligned"


def step(offset, scale=1.0, layers=None, model=None):
    model = model or nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)

    def loss():
        return (scale * model.weight + offset).sum()

    return Step(layers, loss, model, torch.optim.AdamW(model.parameters()))


def faults(**changes):
    """What does not hold, by row, where one row is changed."""
    steps = {PLAIN: step(1.0), CE_ONLY: step(1.0), ALIGNED: step(1.5, 1.25, (0, 1))}
    names = {"plain": PLAIN, "ours": CE_ONLY, "aligned": ALIGNED}
    steps |= {names[name]: changed for name, changed in changes.items()}
    return [gate.text for gate in check(steps, torch.float32) if not gate.holds]


def test_equal_losses_and_finite_gradients_pass():
    assert faults() == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (
            {"plain": partial(step, 1.01)},
            "aista, CE only: loss differs from the plain loop's by 5.0e-03, at most 1e-05",
        ),
        ({"aligned": partial(step, float("inf"), 1.25, (0, 1))}, "aista, aligned: loss inf is finite"),
        ({"aligned": partial(step, 1.5, float("nan"), (0, 1))}, "aista, aligned: gradients of 1 of 1 trained tensors"),
        (
            {"aligned": partial(step, 1.5, 1.0, (0, 1))},
            "aista, aligned: alignment adds to the loss (0.5000) and changes",
        ),
    ],
)
def test_what_does_not_hold_is_said(changed, fault):
    found = faults(**{name: make() for name, make in changed.items()})
    assert any(fault in text for text in found), found


def test_every_trained_tensor_needs_a_gradient():
    model = nn.Linear(1, 1, bias=False)
    model.unused = nn.Parameter(torch.ones(1))
    (fault,) = faults(ours=step(1.0, model=model))
    assert fault.startswith("aista, CE only: gradients of 1 of 2 trained tensors are finite")
