"""Layers named in the config."""

from __future__ import annotations

from dataclasses import dataclass

from aista.registry import register
from aista.schema import option
from aista.selection.base import LayerSelection, SelectedLayers, check_layers, uniform_weights
from aista.selection.curve import ProbeCurve

__all__ = ["FixedSelection", "FixedSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class FixedSelectionConfig:
    """Options of ``fixed``."""

    layers: tuple[int, ...] = option(
        (0, 1), "Layers to align, in 0..number of blocks; 0 is what enters the first block.", minimum=0
    )


@register("layer_selection", "fixed", config=FixedSelectionConfig)
class FixedSelection(LayerSelection):
    """Align the layers that the config names, with equal weights.

    Choose it to repeat a known choice, for ablations, and where a probe is not worth its warm-up.
    """

    def __init__(self, config: FixedSelectionConfig, *, num_layers: int) -> None:
        if not config.layers:
            raise ValueError("layers: name at least one layer; a run without alignment leaves `alignment` empty")
        self.layers = check_layers("layers", config.layers, num_layers)

    def select(self, curve: ProbeCurve | None) -> SelectedLayers:
        """The configured layers; the curve is not read."""
        return SelectedLayers(self.layers, uniform_weights(len(self.layers)), "layers named in the config")
