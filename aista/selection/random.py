"""Layers drawn at random."""

from __future__ import annotations

import random
from dataclasses import dataclass

from aista.registry import register
from aista.schema import Options, option
from aista.selection.base import LayerSelection, SelectedLayers, check_layers, uniform_weights
from aista.selection.curve import ProbeCurve

__all__ = ["RandomSelection", "RandomSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class RandomSelectionConfig(Options):
    """Options of ``random``."""

    count: int = option(2, "Number of layers to draw.", minimum=1, maximum=1_000)
    candidates: tuple[int, ...] | None = option(None, "Layers to draw from; null means all.", minimum=0)
    seed: int = option(1, "Seed of the draw; the run's own seed does not change it.", minimum=0)


@register("layer_selection", "random", config=RandomSelectionConfig)
class RandomSelection(LayerSelection):
    """Align ``count`` layers drawn without replacement, with equal weights.

    Choose it as a control for other strategies: over several seeds it shows how much of the gain comes from aligning
    any layers at all.
    """

    def __init__(self, config: RandomSelectionConfig, *, num_layers: int) -> None:
        candidates = check_layers("candidates", config.candidates, num_layers)
        if config.count > len(candidates):
            raise ValueError(f"count: must be at most {len(candidates)}, the candidates, got {config.count}")
        self.layers = tuple(sorted(random.Random(config.seed).sample(candidates, config.count)))
        self.seed = config.seed

    def select(self, curve: ProbeCurve | None) -> SelectedLayers:
        return SelectedLayers(self.layers, uniform_weights(len(self.layers)), f"drawn with seed {self.seed}")
