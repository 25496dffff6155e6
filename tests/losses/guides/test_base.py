from __future__ import annotations

import math

import pytest
import torch

from aista.losses.guides.base import Guidance, Guide, guide_cost


def test_the_cost_is_minus_the_logarithm_from_0_to_1():
    weights = torch.tensor([[[1.0, 0.1, 1e-3], [0.0, 1e-2, 0.5]]])
    cost = guide_cost(Guidance(weights, torch.tensor([[True, True, False]])), 1e-2)
    expected = torch.tensor([[[0.0, 0.5, 0.0], [1.0, 1.0, 0.0]]])
    torch.testing.assert_close(cost, expected)
    assert cost.dtype == torch.float32


def test_rounding_above_one_costs_nothing():
    assert guide_cost(Guidance(torch.tensor([[[1 + 1e-6]]]), torch.tensor([[True]])), math.exp(-1)).item() == 0


def test_needs_are_checked_when_a_guide_is_defined():
    with pytest.raises(TypeError, match=r"Odd.needs must be a tuple of names among transcripts, words, got 'words'"):

        class Odd(Guide):
            needs = "words"
