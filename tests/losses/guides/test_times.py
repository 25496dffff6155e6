from __future__ import annotations

import math

import pytest
import torch

from aista.losses.base import AlignmentContext
from aista.losses.guides.times import Times
from aista.types import LayerStates


def _guidance(words: list[list[float]] | None, width: float = 1.0, positions: int = 10):
    states = LayerStates(torch.ones(1, positions, 2), torch.tensor([positions]), torch.ones(1, 3, 2), torch.tensor([3]))
    spans = None if words is None else torch.tensor([words])
    return Times(width=width)(states, AlignmentContext(1, torch.tensor([[7, 8, 9]]), words=spans))


def test_inside_a_word_is_one_and_outside_falls_as_a_gaussian():
    weights, known = _guidance([[0, 2, 0.2, 0.5], [2, 3, 0.5, 1.0]], width=2.0)
    assert known.tolist() == [[True, True, True]]
    for token in (0, 1):  # positions 2, 3, 4; the centre of position 6 is 1.5 behind the end
        assert weights[0, 2:5, token].tolist() == [1, 1, 1]
        assert float(weights[0, 6, token]) == pytest.approx(math.exp(-(1.5**2) / 8))
        assert float(weights[0, 0, token]) == pytest.approx(math.exp(-(1.5**2) / 8))
    assert weights[0, 5:, 2].tolist() == [1] * 5


def test_words_without_times_are_unknown():
    weights, known = _guidance([[0, 1, 0.2, 0.5], [0, 0, 0, 0]])
    assert known.tolist() == [[True, False, False]]
    assert not weights[..., 1:].any()
    assert not _guidance(None).known_RT.any()


def test_a_word_shorter_than_a_position_has_a_place_at_the_least_width():
    weights, known = _guidance([[0, 3, 0.5, 0.501]], width=0.1)
    assert known.all()
    assert (weights[0].amax(0) > 0).all()


def test_the_width_is_bounded():
    with pytest.raises(ValueError, match=r"width: must be at least 0\.1, got 0.0"):
        Times(width=0.0)
