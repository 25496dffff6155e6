"""Training nothing of a part."""

from __future__ import annotations

from torch import nn

from aista.modules.tuning.base import Tuning
from aista.registry import register

__all__ = ["FrozenTuning"]


@register("tuning", "frozen")
class FrozenTuning(Tuning):
    """Freeze the part: no gradients, no dropout.

    Choose it for a pretrained encoder or LLM to which the other parts are trained to fit.
    """

    def trainable(self, part: nn.Module) -> tuple[nn.Parameter, ...]:
        return ()
