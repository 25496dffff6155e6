"""Layer states in float64 with garbage in the padding, for the tests of the alignment losses."""

from __future__ import annotations

import torch

from aista.losses.base import AlignmentContext
from aista.types import LayerStates
from tests.losses.clouds import clouds

X_LENGTHS, Y_LENGTHS = [7, 3, 5, 0, 6, 1], [4, 5, 0, 2, 6, 1]
PRESENT = [0, 1, 4, 5]
ONE_LAYER = AlignmentContext()


def layer_states(
    x_lengths: list[int] = X_LENGTHS, y_lengths: list[int] = Y_LENGTHS, *, seed: int = 0, dim: int = 6
) -> LayerStates:
    case = clouds(x_lengths, y_lengths, dim=dim, seed=seed, dtype=torch.float64).leaves()
    return LayerStates(case.x, case.x_lengths, case.y, case.y_lengths)


def content(states: LayerStates, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The row's speech and text without padding."""
    return (
        states.speech[row, : states.speech_lengths[row]].detach(),
        states.text[row, : states.text_lengths[row]].detach(),
    )


def fold(*layers: LayerStates) -> LayerStates:
    return LayerStates(*(torch.cat(fields) for fields in zip(*layers, strict=True)))
