"""Interface of layer-selection strategies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from aista.errors import RunError
from aista.selection.curve import ProbeCurve
from aista.selection.gradient_measure import GradientAgreement
from aista.selection.pair_transport import PairTransport
from aista.selection.retrieval_probe import RetrievalProbe
from aista.selection.state_measures import StateMeasure

__all__ = ["LayerSelection", "ProbedSelection", "SelectedLayers", "check_layers", "normalized", "uniform_weights"]


@dataclass(frozen=True)
class SelectedLayers:
    """The layers to align.

    Attributes:
        layers: Ascending layer numbers; 0 is the input of the first block, k the output of block k.
        weights: One weight per layer; they sum to 1, so that the alignment's weight keeps its
            meaning when the number of layers changes.
        reason: Why these layers were chosen, with the scores, as one line for the run folder.
    """

    layers: tuple[int, ...]
    weights: tuple[float, ...]
    reason: str


class LayerSelection(ABC):
    """A strategy that chooses the layers to align and their weights.

    A component of kind ``layer_selection`` is called as ``factory(config, *, num_layers)``, where
    ``num_layers`` counts the LLM's blocks, so that layers are numbered 0..num_layers. It raises
    ValueError for impossible layers. A strategy that reads a probe derives from ``ProbedSelection``.

    Attributes:
        warmup_steps: CE-only training steps before the first choice.
        every: Training steps between choices after the first one; 0: the first choice is kept.
        probe_size: Maximum number of utterances that the probe uses; 0 where no probe is needed.
        probe_layers: Layers whose states the probe must capture.
    """

    warmup_steps: int = 0
    every: int = 0
    probe_size: int = 0
    probe_layers: tuple[int, ...] = ()

    @abstractmethod
    def select(self, curve: ProbeCurve | None) -> SelectedLayers:
        """Choose the layers.

        Args:
            curve: The probe's result; None unless this is a ``ProbedSelection``.
        """

    def reselect(self, curve: ProbeCurve | None, current: SelectedLayers) -> SelectedLayers:
        """Choose again while training, ``every`` steps after the last choice.

        A function of its arguments alone: a resumed run repeats its choices from ``current`` as it was stored.

        Args:
            curve: The new probe's result, as for ``select``.
            current: The choice so far.
        """
        return self.select(curve)

    def costliest(self) -> tuple[int, ...]:
        """The costliest layers that it may choose; cost estimates assume them."""
        return self.select(None).layers


class ProbedSelection(LayerSelection):
    """A strategy that reads a probe curve; it is only called with one that has all of ``probe_layers``.

    Attributes:
        pooling: How the probe pools a row's states into one vector.
        similarity: Similarity of the probe's retrieval: cosine, csls or ot.
        neighbours: Number of nearest neighbours in CSLS.
        transport: Solves the probe's transport problems; None where none is measured.
        mismatches: Number of mismatched utterances that each one's transport cost is compared with.
        measures: Further measures that the probe computes from all states.
        readings: Whether the probe applies the language model's output layer to the speech states (logit lens).
        agreement: Compares the gradients of alignment and translation; None where none are computed.
        needs_words: Whether it needs word times, which the dev set must then have.
    """

    pooling: str = "mean"
    similarity: str = "cosine"
    neighbours: int = 10
    transport: PairTransport | None = None
    mismatches: int = 4
    measures: tuple[StateMeasure, ...] = ()
    readings: bool = False
    agreement: GradientAgreement | None = None
    needs_words: bool = False

    @abstractmethod
    def choose(self, curve: ProbeCurve) -> SelectedLayers:
        """Choose the layers by a curve."""

    def choose_again(self, curve: ProbeCurve, current: SelectedLayers) -> SelectedLayers:
        """Choose again by a new curve; see ``reselect``."""
        return self.choose(curve)

    def select(self, curve: ProbeCurve | None) -> SelectedLayers:
        """Choose the layers. Raises RunError if the curve is missing or lacks a layer of ``probe_layers``."""
        return self.choose(self._demand(curve))

    def reselect(self, curve: ProbeCurve | None, current: SelectedLayers) -> SelectedLayers:
        """Choose again. Raises RunError as ``select``."""
        return self.choose_again(self._demand(curve), current)

    def costliest(self) -> tuple[int, ...]:
        """All probed layers, unless the strategy knows that it takes fewer."""
        return self.probe_layers

    def probe(self) -> RetrievalProbe:
        """A new probe that measures what ``choose`` reads."""
        return RetrievalProbe(
            self.probe_layers,
            pooling=self.pooling,
            similarity=self.similarity,
            neighbours=self.neighbours,
            transport=self.transport,
            mismatches=self.mismatches,
            measures=self.measures,
            readings=self.readings,
            agreement=self.agreement,
        )

    def _demand(self, curve: ProbeCurve | None) -> ProbeCurve:
        if curve is None:
            raise RunError(f"{type(self).__name__} needs a probe curve; probe the warmed-up model first")
        missing = [layer for layer in self.probe_layers if layer not in curve.numbers]
        if missing:
            raise RunError(f"the probe curve lacks layers {missing}; probe layers {list(self.probe_layers)}")
        return curve


def check_layers(option: str, layers: Sequence[int] | None, num_layers: int) -> tuple[int, ...]:
    """The layers in ascending order, all of them for None. Raises ValueError for impossible or repeated numbers."""
    if layers is None:
        return tuple(range(num_layers + 1))
    wrong = [layer for layer in layers if not 0 <= layer <= num_layers]
    if wrong:
        raise ValueError(
            f"{option}: this LLM has no layer {', '.join(map(str, wrong))}; valid numbers are 0..{num_layers} "
            f"(0 = input of the first block, k = output of block k)"
        )
    if len(set(layers)) != len(layers):
        raise ValueError(f"{option}: each layer may be named once, got {list(layers)}")
    return tuple(sorted(layers))


def uniform_weights(count: int) -> tuple[float, ...]:
    """``count`` equal weights that sum to 1."""
    return (1.0 / count,) * count


def normalized(weights: Sequence[float]) -> tuple[float, ...]:
    """The weights over their sum, which is above 0."""
    total = sum(weights)
    return tuple(weight / total for weight in weights)
