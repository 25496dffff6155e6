"""The probe's result: retrieval scores and collapse diagnostics per layer, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aista.errors import RunError
from aista.selection.bootstrap import Estimate
from aista.selection.metrics import RetrievalScores, ScoreSet

__all__ = ["LayerDiagnostics", "LayerProbe", "ProbeCurve"]


@dataclass(frozen=True)
class LayerDiagnostics:
    """Indicators of collapse: alignment can reduce a distance by making all states equal.

    Attributes:
        speech_norm: Mean L2 norm of the pooled speech states.
        text_norm: Mean L2 norm of the pooled text states.
        speech_variance: Mean squared distance of the pooled speech states from their mean.
        text_variance: The same for text.
        speech_spread: ``speech_variance`` over the mean squared norm, in [0, 1]: 0: all states equal.
        text_spread: The same for text.
        pair_cosine: Mean cosine between speech and text of the same utterance.
        other_cosine: Mean cosine between speech and text of different utterances; as high as
            ``pair_cosine`` where the states say nothing about the utterance.
    """

    speech_norm: float
    text_norm: float
    speech_variance: float
    text_variance: float
    speech_spread: float
    text_spread: float
    pair_cosine: float
    other_cosine: float


@dataclass(frozen=True)
class LayerProbe:
    """One layer's retrieval scores, diagnostics, and measures by the names of ``aista.selection.layer_measures``."""

    layer: int
    scores: RetrievalScores
    diagnostics: LayerDiagnostics
    measures: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class ProbeCurve:
    """Retrieval scores per layer.

    Attributes:
        layers: In the order probed, usually ascending.
        num_utterances: Utterances that took part, each a query and a candidate.
        num_skipped: Rows left out because they have no transcript (or no speech position).
        num_transcripts: Distinct transcripts among the utterances.
        pooling: Pooling of the states.
        similarity: Similarity that ``scores`` are computed with: cosine, csls or ot.
        resamples: Bootstrap resamples behind the intervals of the measures; 0: there are none.
    """

    layers: tuple[LayerProbe, ...]
    num_utterances: int
    num_skipped: int
    num_transcripts: int
    pooling: str
    similarity: str = "cosine"
    resamples: int = 0

    @property
    def numbers(self) -> tuple[int, ...]:
        """The probed layers."""
        return tuple(probe.layer for probe in self.layers)

    @property
    def chance(self) -> ScoreSet:
        """The scores of a random ranking, the same for all layers."""
        return self.layers[0].scores.chance

    def values(self, score: str = "mrr", direction: str = "both") -> dict[int, float]:
        """Layer number -> score. Raises ValueError for unknown names."""
        return {probe.layer: probe.scores.value(score, direction) for probe in self.layers}

    def estimates(self, measure: str) -> dict[int, Estimate]:
        """Layer number -> a measure with its interval, for the layers that have it."""
        return {probe.layer: probe.measures[measure] for probe in self.layers if measure in probe.measures}

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``json.dump``."""
        data = asdict(self)
        data["layers"] = list(data["layers"])
        return data

    @classmethod
    def from_json(cls, data: Any, *, source: str = "probe curve") -> ProbeCurve:
        """The inverse of ``to_json``.

        Raises:
            RunError: the data is not a probe curve; ``source`` names the file.
        """
        try:
            probes = tuple(_layer(item) for item in data["layers"])
            counts = {name: int(data[name]) for name in ("num_utterances", "num_skipped", "num_transcripts")}
            similarity, resamples = str(data.get("similarity", "cosine")), int(data.get("resamples", 0))
            curve = cls(
                layers=probes, pooling=str(data["pooling"]), similarity=similarity, resamples=resamples, **counts
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{source}: not a probe curve ({type(error).__name__}: {error}); probe again") from error
        if not curve.layers:
            raise RunError(f"{source}: the probe curve holds no layer; probe again")
        return curve


def _layer(data: Mapping[str, Any]) -> LayerProbe:
    scores = {name: ScoreSet(**data["scores"][name]) for name in ("speech_to_text", "text_to_speech", "chance")}
    measures = {name: Estimate(**item) for name, item in data.get("measures", {}).items()}
    diagnostics = LayerDiagnostics(**data["diagnostics"])
    return LayerProbe(int(data["layer"]), RetrievalScores(**scores), diagnostics, measures)
