"""Base of the regression losses, on pooled states or on tokens with speech resampled to the text's length."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.sides import POOLINGS, row_mean, row_result, sides
from aista.losses.solvers.pairwise import no_autocast
from aista.pooling import pool
from aista.schema import Options, option
from aista.types import LayerStates

__all__ = ["Regression", "compared", "resample"]

LEVELS = (*POOLINGS, "token")


@dataclass(frozen=True, kw_only=True)
class Regression(Options, AlignmentLoss):
    """Base of losses that compare single vectors of both sides, pooled or token by token."""

    level: str = option(
        "mean",
        "What is compared: mean or max over each side's states, or token by token with evenly resampled speech.",
        choices=LEVELS,
    )

    @abstractmethod
    def error(self, u: Tensor, v: Tensor) -> Tensor:
        """``[B, N, D]`` of both sides -> ``[B, N]``."""

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        """Return each row's mean error; see ``AlignmentLoss``."""
        both = sides(states, detach_text=detach_text)
        with no_autocast(both.speech.device):
            u, v, lengths = compared(both, self.level)
            return row_result(row_mean(self.error(u, v), lengths), states.present)


def resample(states: Tensor, lengths: Tensor, new_lengths: Tensor, size: int) -> Tensor:
    """Read ``P_b`` states at ``T_b`` evenly spaced places.

    The centre of the t-th of T stretches of equal duration lies at position ``(t + 1/2) P / T - 1/2``, where
    the two neighbouring states are mixed linearly (the ends hold). Equal lengths change nothing.

    Args:
        states: ``[B, P, D]``.
        lengths: ``[B]`` P_b. A row of length 0 gives zeros.
        new_lengths: ``[B]`` T_b.
        size: Padded length of the result.

    Returns:
        ``[B, size, D]``, zeros beyond ``new_lengths``.
    """
    if not states.shape[1]:
        return states.new_zeros(len(states), size, states.shape[2])
    centre = torch.arange(size, device=states.device, dtype=states.dtype) + 0.5
    last = (lengths - 1).clamp_min(0)[:, None]
    place_BT = centre * (lengths.to(states.dtype) / new_lengths.clamp_min(1))[:, None] - 0.5
    place_BT = torch.minimum(place_BT.clamp_min(0), last.to(states.dtype))
    left_BT = place_BT.floor().long()
    right_BT = torch.minimum(left_BT + 1, last)
    share = (place_BT - left_BT)[..., None]
    left, right = (states.gather(1, index[..., None].expand(-1, -1, states.shape[2])) for index in (left_BT, right_BT))
    empty = (torch.arange(size, device=states.device) >= new_lengths[:, None]) | (lengths == 0)[:, None]
    return (left + share * (right - left)).masked_fill(empty[..., None], 0)


def compared(both: LayerStates, level: str) -> tuple[Tensor, Tensor, Tensor]:
    """The vectors to compare: ``[B, N, D]`` of speech and of text, and how many of the N are content.

    N is 1 for pooled levels and T, the text's length, at level ``token``.
    """
    if level == "token":
        u = resample(both.speech, both.speech_lengths, both.text_lengths, both.text.shape[1])
        return u, both.text, both.text_lengths
    u, v = (
        pool(z, lengths, level) for z, lengths in ((both.speech, both.speech_lengths), (both.text, both.text_lengths))
    )
    return u[:, None], v[:, None], both.present.long()
