"""Every layer of the LLM."""

from __future__ import annotations

from aista.registry import register
from aista.selection.base import LayerSelection, SelectedLayers, uniform_weights
from aista.selection.curve import ProbeCurve

__all__ = ["AllSelection"]


@register("layer_selection", "all")
class AllSelection(LayerSelection):
    """Align every layer from 0 to the last block, with equal weights.

    Choose it as a control in ablations: it costs a full text branch per step, and deep layers hold information that the
    modalities need not share.
    """

    def __init__(self, *, num_layers: int) -> None:
        self.layers = tuple(range(num_layers + 1))

    def select(self, curve: ProbeCurve | None) -> SelectedLayers:
        return SelectedLayers(self.layers, uniform_weights(len(self.layers)), "all layers")
