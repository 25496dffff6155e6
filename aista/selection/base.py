"""What every layer selection offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from aista.selection.curve import ProbeCurve

__all__ = ["LayerSelection", "SelectedLayers", "check_layers", "uniform_weights"]


@dataclass(frozen=True)
class SelectedLayers:
    """The layers to align.

    Attributes:
        layers: Ascending layer numbers; 0 is what enters the first block, k the output of block k.
        weights: One weight per layer; they sum to 1, so that the alignment's weight keeps its
            meaning when the number of layers changes.
        reason: One line a reader of the run folder understands, with the scores that decided.
    """

    layers: tuple[int, ...]
    weights: tuple[float, ...]
    reason: str


class LayerSelection(ABC):
    """A strategy that turns a probe curve (or nothing) into layers with weights.

    A component of kind ``layer_selection`` is called as ``factory(config, *, num_layers)``, where
    ``num_layers`` counts the LLM's blocks, so that layers are numbered 0..num_layers. It raises
    ValueError for impossible layers.

    Attributes:
        needs_probe: Whether ``select`` must be given a curve.
        warmup_steps: CE-only training steps before the probe; 0 where no probe is needed.
        probe_size: Most utterances that the probe uses; 0 where no probe is needed.
        pooling: How the probe turns a row's states into one vector.
        probe_layers: Layers whose states the probe must capture.
    """

    needs_probe: bool = False
    warmup_steps: int = 0
    probe_size: int = 0
    pooling: str = "mean"
    probe_layers: tuple[int, ...] = ()

    @abstractmethod
    def select(self, curve: ProbeCurve | None) -> SelectedLayers:
        """Choose the layers.

        Args:
            curve: The probe's result; None is allowed only where ``needs_probe`` is False.

        Raises:
            RunError: the curve is missing or lacks a layer that the strategy considers.
        """


def check_layers(option: str, layers: Sequence[int], num_layers: int) -> tuple[int, ...]:
    """The layers in ascending order. Raises ValueError for impossible or repeated numbers."""
    wrong = [layer for layer in layers if not 0 <= layer <= num_layers]
    if wrong:
        raise ValueError(
            f"{option}: this LLM has no layer {', '.join(map(str, wrong))}; valid numbers are 0..{num_layers} "
            f"(0 = what enters the first block, k = output of block k)"
        )
    if len(set(layers)) != len(layers):
        raise ValueError(f"{option}: each layer may be named once, got {list(layers)}")
    return tuple(sorted(layers))


def uniform_weights(count: int) -> tuple[float, ...]:
    """``count`` equal weights that sum to 1."""
    return (1.0 / count,) * count
