"""Training all of a part."""

from __future__ import annotations

from torch import nn

from aista.modules.tuning.base import Tuning
from aista.registry import register

__all__ = ["FullTuning"]


@register("tuning", "full")
class FullTuning(Tuning):
    """Every parameter of the part is trained.

    Choose it for parts that start from scratch, and for pretrained ones where data and memory allow it:
    AdamW keeps two more numbers for each.
    """

    def trainable(self, part: nn.Module) -> list[nn.Parameter]:
        return list(part.parameters())
