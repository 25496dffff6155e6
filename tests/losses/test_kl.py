from __future__ import annotations

import math

import pytest
import torch

from aista.losses.kl import KLAlignment
from tests.losses.layers import ONE_LAYER, content, layer_states

LENGTHS = [4, 2, 0, 3]


@pytest.mark.parametrize("tau", [1.0, 2.5])
def test_the_definition_token_by_token(tau):
    states = layer_states(LENGTHS, LENGTHS)
    values = KLAlignment(temperature=tau)(states, ONE_LAYER).per_utterance_B
    for row, length in enumerate(LENGTHS):
        x, y = content(states, row)
        total = 0.0
        for u in range(length):
            p, q = (torch.softmax(z[u] / tau, 0) for z in (y, x))
            total += sum(float(a) * math.log(float(a) / float(b)) for a, b in zip(p, q, strict=True))
        expected = tau**2 * total / length if length else 0.0
        assert float(values[row].detach()) == pytest.approx(expected, rel=1e-5)


def test_gradients_agree_with_finite_differences():
    loss = KLAlignment(temperature=1.5)
    x, y = (torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(loss._divergence, (x, y))


def test_equal_predictions_are_free():
    states = layer_states(LENGTHS, LENGTHS)
    same = KLAlignment()(states._replace(text=states.speech), ONE_LAYER).per_utterance_B
    torch.testing.assert_close(same, torch.zeros(4))


def test_certain_predictions_stay_finite():
    x = torch.tensor([[[1e4, 0.0, -1e4]]], requires_grad=True)
    one = torch.ones(1, dtype=torch.long)
    states = layer_states([1], [1])._replace(speech=x, text=x.detach().flip(2), speech_lengths=one, text_lengths=one)
    value = KLAlignment()(states, ONE_LAYER).per_utterance_B
    value.sum().backward()
    assert value.isfinite().all()
    assert x.grad.isfinite().all()


def test_rows_of_unequal_lengths_are_no_predictions_of_the_same_tokens():
    states = layer_states([4, 2], [4, 3])
    with pytest.raises(ValueError, match=r"equal lengths, got \[4, 2\] and \[4, 3\]"):
        KLAlignment()(states, ONE_LAYER)
