"""Base of strategies that rank layers by a score of the probe: options, the choice, its reason."""

from __future__ import annotations

from dataclasses import dataclass

from aista.errors import RunError
from aista.schema import Options, option
from aista.selection.base import ProbedSelection, SelectedLayers, check_layers, normalized, uniform_weights
from aista.selection.curve import ProbeCurve

__all__ = ["RankedConfig", "RankedSelection", "chance_of", "elbow"]

NEAR_CHANCE = 2.0
"""A ranking is meaningful only if its best layer scores at least this many times chance."""


@dataclass(frozen=True, kw_only=True)
class RankedConfig(Options):
    """Options of every strategy that ranks layers."""

    top_k: int | None = option(
        2, "Maximum number of layers in addition to those in always, best first; null: no limit.", minimum=1
    )
    threshold: float | None = option(None, "Minimum score of a chosen layer; null: no minimum.", minimum=0, maximum=1)
    elbow: bool = option(False, "Take only the layers above the elbow of the ranked scores.")
    always: tuple[int, ...] = option((), "Layers that are always taken.", minimum=0)
    candidates: tuple[int, ...] | None = option(None, "Layers that are considered; null means all.", minimum=0)
    weighting: str = option(
        "uniform", "Weights of the layers: equal, or in proportion to their scores.", choices=("uniform", "score")
    )
    warmup_steps: int = option(100, "Training steps with cross-entropy only before the probe.", minimum=0)
    probe_size: int = option(
        256,
        "Maximum number of utterances in the probe; each is a query and a candidate.",
        minimum=2,
        maximum=1_000_000,
    )


class RankedSelection(ProbedSelection):
    """Chooses the layers with the best ``measure``, or with the best score that a subclass reads from the curve.

    Of equal scores, the shallower layer is preferred. ``top_k``, ``threshold`` and ``elbow`` each only exclude layers.
    If they exclude all and ``always`` is empty, the best layer is taken nevertheless, because stopping would waste the
    warm-up; the reason then says so.

    Attributes:
        measure: A name of ``aista.selection.layer_measures``.
    """

    measure: str

    def __init__(self, config: RankedConfig, *, num_layers: int) -> None:
        self.ranked = config
        self.always = check_layers("always", config.always, num_layers)
        named = check_layers("candidates", config.candidates, num_layers)
        self.candidates = tuple(layer for layer in named if layer not in self.always)
        if not self.candidates:
            raise ValueError("candidates: no layer is left to choose from beside those in always; use `fixed`")
        if config.top_k is not None and config.top_k > len(self.candidates):
            raise ValueError(f"top_k: must be at most {len(self.candidates)}, the candidates, got {config.top_k}")
        self.warmup_steps = config.warmup_steps
        self.probe_size = config.probe_size
        self.probe_layers = tuple(sorted({*named, *self.always}))

    def costliest(self) -> tuple[int, ...]:
        """The deepest ``top_k`` candidates, and those that are always taken."""
        deepest = self.candidates[-(self.ranked.top_k or len(self.candidates)) :]
        return tuple(sorted({*deepest, *self.always}))

    @property
    def score_name(self) -> str:
        """The score, as the reason names it."""
        return self.measure

    def read(self, curve: ProbeCurve) -> dict[int, float]:
        """Layer number -> score; layers that lack it are left out."""
        return {layer: estimate.value for layer, estimate in curve.estimates(self.measure).items()}

    def chance(self, curve: ProbeCurve) -> float | None:
        """The score of uninformative states, where it is known."""
        return None

    def scores(self, curve: ProbeCurve) -> dict[int, float]:
        """Layer number -> score of each layer that the strategy considers.

        Raises:
            RunError: the curve lacks the score of one of them.
        """
        scores = self.read(curve)
        missing = [layer for layer in self.probe_layers if layer not in scores]
        if missing:
            raise RunError(f"the probe curve lacks {self.score_name} of layers {missing}")
        return scores

    def choose(self, curve: ProbeCurve) -> SelectedLayers:
        """Rank the candidates by the curve's score and take the best."""
        scores = self.scores(curve)
        ranked = sorted(self.candidates, key=lambda layer: (-scores[layer], layer))
        best = ranked[: self.ranked.top_k]
        if self.ranked.elbow:
            best = best[: elbow([scores[layer] for layer in ranked])]
        taken = [layer for layer in best if self.ranked.threshold is None or scores[layer] >= self.ranked.threshold]
        missed = not taken and not self.always
        layers = tuple(sorted([*self.always, *(best[:1] if missed else taken)]))
        weights, note = self._weights([scores[layer] for layer in layers])
        reason = self._reason(layers, scores, missed) + note
        chance = self.chance(curve)
        if chance is not None and scores[ranked[0]] < NEAR_CHANCE * chance:
            reason += (
                f"; NO layer reaches {NEAR_CHANCE:g} times chance ({chance:.3f}): the ranking is noise; raise "
                "warmup_steps or use fixed layers"
            )
        return SelectedLayers(layers, weights, reason)

    def _weights(self, scores: list[float]) -> tuple[tuple[float, ...], str]:
        if self.ranked.weighting == "uniform":
            return uniform_weights(len(scores)), ""
        positive = [max(score, 0.0) for score in scores]
        if sum(positive) <= 0:
            return uniform_weights(len(scores)), "; equal weights because all scores are 0"
        return normalized(positive), "; weights in proportion to the scores"

    def _reason(self, layers: tuple[int, ...], scores: dict[int, float], missed: bool) -> str:
        shown = ", ".join(f"layer {layer} {scores[layer]:.3f}" for layer in layers)
        reason = f"{self.score_name}: {shown}"
        if self.always:
            reason += f"; always: {', '.join(map(str, self.always))}"
        if self.ranked.elbow:
            reason += f"; {self._above_elbow(scores)} of {len(self.candidates)} layers are above the elbow"
        if missed:
            reason += f"; NO layer reached the threshold {self.ranked.threshold:g}, so the best one was taken"
        elif self.ranked.threshold is not None:
            taken = len(layers) - len(self.always)
            most = self.ranked.top_k or len(self.candidates)
            reason += f"; {taken} of at most {most} reached the threshold {self.ranked.threshold:g}"
        return reason

    def _above_elbow(self, scores: dict[int, float]) -> int:
        return elbow(sorted((scores[layer] for layer in self.candidates), reverse=True))


def chance_of(curve: ProbeCurve, measure: str) -> float | None:
    """Mean over the layers of a chance-level measure; None where the curve lacks it."""
    values = [estimate.value for estimate in curve.estimates(measure).values()]
    return sum(values) / len(values) if values else None


def elbow(ranked: list[float]) -> int:
    """Count the descending scores that are above their elbow.

    The elbow is the score farthest below the straight line from the first to the last (Satopää et al. 2011); those
    before it are above. Scores that fall along a straight line, or never steeply at first, have no elbow: all count.
    """
    last = len(ranked) - 1
    if last < 2 or ranked[0] <= ranked[-1]:
        return len(ranked)
    drop = (ranked[0] - ranked[-1]) / last
    below = [ranked[0] - drop * index - score for index, score in enumerate(ranked)]
    deepest = max(range(len(ranked)), key=lambda index: below[index])
    return deepest if below[deepest] > 1e-9 * (ranked[0] - ranked[-1]) else len(ranked)
