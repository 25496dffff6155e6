"""Interface of guides, which give a soft alignment of speech positions with transcript tokens."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor

from aista.losses.base import AlignmentContext
from aista.types import LayerStates, length_mask

__all__ = ["GUIDE_NEEDS", "Guidance", "Guide", "content_mask", "guide_cost"]

GUIDE_NEEDS = ("transcripts", "words")
"""Possible entries of a guide's ``needs``; see ``AlignmentContext``."""


class Guidance(NamedTuple):
    """Positions of the tokens of ``R`` rows (layers folded in). Both fields are detached; 0 and False in the padding.

    Attributes:
        weights_RPT: ``[R, P, T]``, 0 to 1: probability that token t is spoken at position p.
        known_RT: ``[R, T]`` whether the guide knows the position of the token; weights of other tokens are undefined.
            The same at every layer.
    """

    weights_RPT: Tensor
    known_RT: Tensor


class Guide(ABC):
    """A component of kind ``guide``. It has no parameters, and its result for a row depends on that row alone.

    Attributes:
        needs: Names, among ``GUIDE_NEEDS``, of the context's fields that it reads beside ``num_layers``.
    """

    needs: tuple[str, ...] = ()

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Check the class attribute when the subclass is defined. Raises TypeError."""
        super().__init_subclass__(**arguments)
        if not isinstance(cls.needs, tuple) or not set(cls.needs) <= set(GUIDE_NEEDS):
            raise TypeError(
                f"{cls.__name__}.needs must be a tuple of names among {', '.join(GUIDE_NEEDS)}, got {cls.needs!r}"
            )

    @abstractmethod
    def __call__(self, states: LayerStates, context: AlignmentContext) -> Guidance:
        """Estimate the positions of the tokens.

        Args:
            states: Padded states of both modalities, ``checked``; the content of the padding must not matter.
            context: Number of layers in the states, and the fields that the guide needs.
        """


def content_mask(states: LayerStates) -> Tensor:
    """``[R, T]`` the tokens of rows that have both sides."""
    return length_mask(states.text_lengths, states.text.shape[1]) & states.present[:, None]


def guide_cost(guidance: Guidance, floor: float) -> Tensor:
    """A cost for transport, ``log max(w, floor) / log floor``: minus the logarithm of the weights, scaled.

    Args:
        guidance: The result of a guide.
        floor: Weight, between 0 and 1, at and below which the cost is 1; it limits the effect of a wrong guide.

    Returns:
        ``[R, P, T]`` from 0 (weight 1, or nothing known of the token) to 1.
    """
    logs = guidance.weights_RPT.clamp_min(floor).log() / math.log(floor)
    return logs.clamp_min(0).masked_fill(~guidance.known_RT[:, None, :], 0)
