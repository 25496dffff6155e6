"""Every n-th layer."""

from __future__ import annotations

from dataclasses import dataclass

from aista.registry import register
from aista.schema import Options, option
from aista.selection.base import LayerSelection, SelectedLayers, check_layers, uniform_weights
from aista.selection.curve import ProbeCurve

__all__ = ["StridedSelection", "StridedSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class StridedSelectionConfig(Options):
    """Options of ``strided``."""

    stride: int = option(4, "Take every n-th layer.", minimum=1, maximum=1_000)
    offset: int = option(0, "The first layer taken; 0 is the input of the first block.", minimum=0)


@register("layer_selection", "strided", config=StridedSelectionConfig)
class StridedSelection(LayerSelection):
    """Align the layers ``offset``, ``offset + stride``, ... with equal weights.

    Choose it to cover the depth of an LLM at a fraction of the cost of ``all``, and in ablations of depth.
    """

    def __init__(self, config: StridedSelectionConfig, *, num_layers: int) -> None:
        check_layers("offset", [config.offset], num_layers)
        self.layers = tuple(range(config.offset, num_layers + 1, config.stride))
        self.config = config

    def select(self, curve: ProbeCurve | None) -> SelectedLayers:
        reason = f"every layer whose number is {self.config.offset} + a multiple of {self.config.stride}"
        return SelectedLayers(self.layers, uniform_weights(len(self.layers)), reason)
