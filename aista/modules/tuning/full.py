"""Training all of a part."""

from __future__ import annotations

from torch import nn

from aista.modules.tuning.base import Tuning
from aista.registry import register

__all__ = ["FullTuning"]


@register("tuning", "full")
class FullTuning(Tuning):
    """Train every parameter of the part.

    Choose it for parts that start from scratch, and for pretrained ones where data and memory allow it:
    AdamW keeps two more values for each parameter.
    """

    def trainable(self, part: nn.Module) -> list[nn.Parameter]:
        return list(part.parameters())
