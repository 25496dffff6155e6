"""Layers where speech finds its transcript best: cross-modal retrieval after a warm-up."""

from __future__ import annotations

from dataclasses import dataclass

from aista.errors import RunError
from aista.registry import register
from aista.schema import option
from aista.selection.base import LayerSelection, SelectedLayers, check_layers, uniform_weights
from aista.selection.curve import ProbeCurve
from aista.selection.metrics import DIRECTIONS, POOLINGS, SCORES

__all__ = ["RetrievalSelection", "RetrievalSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class RetrievalSelectionConfig:
    """Options of ``retrieval``."""

    score: str = option("mrr", "Retrieval score that ranks the layers.", choices=SCORES)
    direction: str = option("both", "Who queries whom; both is the mean of the two.", choices=DIRECTIONS)
    pooling: str = option("mean", "How a row's states become one vector.", choices=POOLINGS)
    top_k: int = option(2, "Best layers to take, beside those in always.", minimum=1)
    threshold: float | None = option(None, "Lowest score that top_k may take; null is off.", minimum=0, maximum=1)
    always: tuple[int, ...] = option((), "Layers taken whatever they score.", minimum=0)
    candidates: tuple[int, ...] | None = option(None, "Layers that are considered; null means all.", minimum=0)
    weighting: str = option(
        "uniform", "Weights of the layers: equal, or in proportion to their scores.", choices=("uniform", "score")
    )
    warmup_steps: int = option(100, "Training steps on cross-entropy alone before the probe.", minimum=0)
    probe_size: int = option(256, "Most utterances in the probe; each is a query and a candidate.", minimum=2)


@register("layer_selection", "retrieval", config=RetrievalSelectionConfig)
class RetrievalSelection(LayerSelection):
    """Align the layers whose pooled speech and text states retrieve each other best (arXiv 2503.10211).

    Equal scores prefer the shallower layer. Where the threshold leaves no layer and ``always`` is
    empty, the best layer is taken all the same, because stopping would waste the warm-up; the
    reason then says so.

    Choose it for a new model or language pair, where nobody knows the right layers yet.
    """

    needs_probe = True

    def __init__(self, config: RetrievalSelectionConfig, *, num_layers: int) -> None:
        everything = tuple(range(num_layers + 1))
        self.config = config
        self.always = check_layers("always", config.always, num_layers)
        named = everything if config.candidates is None else check_layers("candidates", config.candidates, num_layers)
        self.candidates = tuple(layer for layer in named if layer not in self.always)
        if not self.candidates:
            raise ValueError("candidates: no layer is left to choose from beside those in always; use `fixed`")
        if config.top_k > len(self.candidates):
            raise ValueError(f"top_k: must be at most {len(self.candidates)}, the candidates, got {config.top_k}")
        self.warmup_steps = config.warmup_steps
        self.probe_size = config.probe_size
        self.pooling = config.pooling
        self.probe_layers = tuple(sorted({*named, *self.always}))

    def select(self, curve: ProbeCurve | None) -> SelectedLayers:
        """Rank the candidates by the curve's score and take the best."""
        scores = self._scores(curve)
        ranked = sorted(self.candidates, key=lambda layer: (-scores[layer], layer))
        best = ranked[: self.config.top_k]
        taken = [layer for layer in best if self.config.threshold is None or scores[layer] >= self.config.threshold]
        missed = not taken and not self.always
        layers = tuple(sorted([*self.always, *(best[:1] if missed else taken)]))
        weights, note = self._weights([scores[layer] for layer in layers])
        return SelectedLayers(layers, weights, self._reason(layers, scores, missed) + note)

    def _scores(self, curve: ProbeCurve | None) -> dict[int, float]:
        if curve is None:
            raise RunError("layer selection 'retrieval' needs a probe curve; probe the warmed-up model first")
        scores = curve.values(self.config.score, self.config.direction)
        missing = [layer for layer in self.probe_layers if layer not in scores]
        if missing:
            raise RunError(f"the probe curve lacks layers {missing}; probe layers {list(self.probe_layers)}")
        return scores

    def _weights(self, scores: list[float]) -> tuple[tuple[float, ...], str]:
        if self.config.weighting == "uniform":
            return uniform_weights(len(scores)), ""
        if sum(scores) <= 0:
            return uniform_weights(len(scores)), "; equal weights because all scores are 0"
        return tuple(score / sum(scores) for score in scores), "; weights in proportion to the scores"

    def _reason(self, layers: tuple[int, ...], scores: dict[int, float], missed: bool) -> str:
        config = self.config
        shown = ", ".join(f"layer {layer} {scores[layer]:.3f}" for layer in layers)
        reason = f"{config.score} ({config.direction}): {shown}"
        if self.always:
            reason += f"; always: {', '.join(map(str, self.always))}"
        if missed:
            reason += f"; NO layer reached the threshold {config.threshold:g}, so the best one was taken"
        elif config.threshold is not None:
            taken = len(layers) - len(self.always)
            reason += f"; {taken} of at most {config.top_k} reached the threshold {config.threshold:g}"
        return reason
