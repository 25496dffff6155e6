"""Layer weights updated from the probe's scores during training: multiplicative updates, no gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aista.errors import RunError
from aista.pooling import POOLINGS
from aista.registry import register
from aista.schema import Options, option
from aista.selection.base import ProbedSelection, SelectedLayers, check_layers, normalized, uniform_weights
from aista.selection.curve import ProbeCurve
from aista.selection.metrics import DIRECTIONS, SCORES

__all__ = ["LearnedSelection", "LearnedSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class LearnedSelectionConfig(Options):
    """Options of ``learned``."""

    score: str = option("mrr", "Retrieval score that raises a layer's weight.", choices=SCORES)
    direction: str = option(
        "both", "Which side queries the other; both is the mean of the two directions.", choices=DIRECTIONS
    )
    pooling: str = option("mean", "Pooling of a row's states to one vector.", choices=POOLINGS)
    candidates: tuple[int, ...] | None = option(None, "Layers that are aligned; null means all.", minimum=0)
    every: int = option(200, "Steps between updates after the warm-up.", minimum=1)
    learning_rate: float = option(
        5.0, "Learning rate of the weights: each is multiplied by exp(rate * score).", above=0
    )
    share: float = option(0.05, "Fraction of the weight spread evenly at each update.", above=0, maximum=1)
    warmup_steps: int = option(100, "Training steps with cross-entropy only before the first probe.", minimum=0)
    probe_size: int = option(
        256,
        "Maximum number of utterances in the probe; each is a query and a candidate.",
        minimum=2,
        maximum=1_000_000,
    )


@register("layer_selection", "learned", config=LearnedSelectionConfig)
class LearnedSelection(ProbedSelection):
    """Align all candidates, with weights that grow where retrieval succeeds (Hedge with fixed share).

    ``w_l <- (1 - share) w_l exp(rate s_l) / Z + share / K`` over K layers with scores s, from equal weights (Freund
    and Schapire 1997; Herbster and Warmuth 1998). No gradient: one through the alignment loss would put all weight on
    the layer that is nearest already or easiest to shrink. Every layer keeps at least ``share / K``, so that a layer
    that improves late can still gain weight. The weights are in selection.json, so a resumed run repeats them exactly.

    Choose it over ``scheduled`` where the best layer changes often, so that a hard choice would jump; set
    ``candidates``, since all of them are aligned in every step.
    """

    def __init__(self, config: LearnedSelectionConfig, *, num_layers: int) -> None:
        self.probe_layers = check_layers("candidates", config.candidates, num_layers)
        if not self.probe_layers:
            raise ValueError("candidates: name at least one layer, or null for all")
        self.config = config
        self.every = config.every
        self.warmup_steps = config.warmup_steps
        self.probe_size = config.probe_size
        self.pooling = config.pooling

    def choose(self, curve: ProbeCurve) -> SelectedLayers:
        """The first update, from equal weights."""
        return self._update(curve, uniform_weights(len(self.probe_layers)))

    def choose_again(self, curve: ProbeCurve, current: SelectedLayers) -> SelectedLayers:
        """The next update, from the current weights."""
        if current.layers != self.probe_layers:
            raise RunError(
                f"layer selection 'learned' continues from weights of layers {list(self.probe_layers)}, got those of "
                f"{list(current.layers)}; were they chosen under another config?"
            )
        return self._update(curve, current.weights)

    def _update(self, curve: ProbeCurve, weights: tuple[float, ...]) -> SelectedLayers:
        name = f"{self.config.score} ({self.config.direction})"
        scores = curve.values(self.config.score, self.config.direction)
        best = max(scores[layer] for layer in self.probe_layers)  # taken off, so that no exponential overflows
        grown = normalized(
            [
                weight * math.exp(self.config.learning_rate * (scores[layer] - best))
                for layer, weight in zip(self.probe_layers, weights, strict=True)
            ]
        )
        share = self.config.share
        new = normalized([(1 - share) * weight + share / len(grown) for weight in grown])
        shown = ", ".join(
            f"layer {layer} {scores[layer]:.3f} -> {weight:.3f}"
            for layer, weight in zip(self.probe_layers, new, strict=True)
        )
        return SelectedLayers(self.probe_layers, new, f"{name} and new weight: {shown}")
