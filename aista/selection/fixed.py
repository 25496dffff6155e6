"""Layers named in the config."""

from __future__ import annotations

from dataclasses import dataclass

from aista.registry import register
from aista.schema import Options, option
from aista.selection.base import LayerSelection, SelectedLayers, check_layers, normalized, uniform_weights
from aista.selection.curve import ProbeCurve

__all__ = ["FixedSelection", "FixedSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class FixedSelectionConfig(Options):
    """Options of ``fixed``."""

    layers: tuple[int, ...] = option(
        (0, 1), "Layers to align, from 0 (input of the first block) to the number of blocks.", minimum=0
    )
    weights: tuple[float, ...] | None = option(
        None, "Weight of each layer, in the same order; scaled to sum to 1. null: equal weights.", above=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None and len(self.weights) != len(self.layers):
            raise ValueError(
                f"weights: expects one per layer, {len(self.layers)}, got {len(self.weights)}; give as many or null"
            )


@register("layer_selection", "fixed", config=FixedSelectionConfig)
class FixedSelection(LayerSelection):
    """Align the layers that the config names, with equal or given weights.

    Choose it to repeat a known choice, for ablations, and where a probe is not worth its warm-up steps.
    """

    def __init__(self, config: FixedSelectionConfig, *, num_layers: int) -> None:
        if not config.layers:
            raise ValueError("layers: name at least one layer; a run without alignment leaves `alignment` empty")
        self.layers = check_layers("layers", config.layers, num_layers)
        self.weights = uniform_weights(len(self.layers))
        if config.weights is not None:
            by_layer = dict(zip(config.layers, config.weights, strict=True))
            self.weights = normalized([by_layer[layer] for layer in self.layers])

    def select(self, curve: ProbeCurve | None) -> SelectedLayers:
        return SelectedLayers(self.layers, self.weights, "layers named in the config")
