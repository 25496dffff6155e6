"""Repeats a layer selection by another strategy during training."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aista.registry import build, register
from aista.schema import Component, Options, component, option
from aista.selection.base import ProbedSelection, SelectedLayers
from aista.selection.curve import ProbeCurve
from aista.selection.ranked import RankedSelection
from aista.selection.retrieval_probe import RetrievalProbe

__all__ = ["ScheduledSelection", "ScheduledSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class ScheduledSelectionConfig(Options):
    """Options of ``scheduled``."""

    strategy: Component = component("layer_selection", "retrieval", "The strategy that chooses; it must rank layers.")
    every: int = option(500, "Steps between choices after the strategy's warm-up.", minimum=1)
    hysteresis: float = option(
        0.02,
        "Margin by which the mean score of new layers must exceed that of the current ones to replace them.",
        minimum=0,
    )


@register("layer_selection", "scheduled", config=ScheduledSelectionConfig)
class ScheduledSelection(ProbedSelection):
    """Repeat another strategy's choice every ``every`` steps; change layers only if others are clearly better.

    Both means are from the new probe, so a rise of all scores changes nothing. Alignment raises the scores of the
    aligned layers themselves: they stay unless others exceed them by the hysteresis.

    Choose it for long trainings in which the states change much, as with an untrained adapter; each choice costs
    a probe (a forward pass of ``probe_size`` utterances).
    """

    def __init__(self, config: ScheduledSelectionConfig, *, num_layers: int) -> None:
        strategy = build("layer_selection", config.strategy, at="strategy", num_layers=num_layers)
        if not isinstance(strategy, RankedSelection):
            raise ValueError(
                f"strategy: must rank layers by a probe, as retrieval, cka and ot_distance do, got "
                f"{config.strategy.name!r}, whose choice would never change"
            )
        self.strategy = strategy
        self.every = config.every
        self.hysteresis = config.hysteresis
        self.warmup_steps = strategy.warmup_steps
        self.probe_size = strategy.probe_size
        self.probe_layers = strategy.probe_layers
        self.needs_words = strategy.needs_words

    def costliest(self) -> tuple[int, ...]:
        return self.strategy.costliest()

    def probe(self) -> RetrievalProbe:
        return self.strategy.probe()

    def choose(self, curve: ProbeCurve) -> SelectedLayers:
        return self.strategy.choose(curve)

    def choose_again(self, curve: ProbeCurve, current: SelectedLayers) -> SelectedLayers:
        """The strategy's choice if it beats the current layers by the hysteresis, else those."""
        scores = self.strategy.scores(curve)
        chosen = self.strategy.choose(curve)
        if chosen.layers == current.layers:
            return chosen
        new, old = (_mean(scores, layers) for layers in (chosen.layers, current.layers))
        if new > old + self.hysteresis:
            return replace(chosen, reason=f"{chosen.reason}; mean {new:.3f}, layers so far {old:.3f}")
        reason = f"kept: {self.strategy.score_name} {old:.3f} on average; layers {list(chosen.layers)} reach {new:.3f}"
        return replace(current, reason=f"{reason}, not {self.hysteresis:g} more")


def _mean(scores: dict[int, float], layers: tuple[int, ...]) -> float:
    return sum(scores[layer] for layer in layers) / len(layers)
