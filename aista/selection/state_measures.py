"""All states of a layer that a probe keeps, and the base of measures that read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from aista.selection.bootstrap import Estimate, estimate
from aista.types import LayerStates

__all__ = ["KeptStates", "StateMeasure", "unit", "weighted_estimate"]


@dataclass
class KeptStates:
    """The states of one layer over a probe set, on the CPU in their own dtype; one entry per utterance.

    Attributes:
        speech: ``[P, D]`` each.
        text: ``[T, D]`` each.
        tokens: ``[T]`` token ids each; empty where the probe did not get them.
        words: ``[W, 4]`` each, as ``SpeechBatch.words`` without its padding; no rows where times are unknown.
        groups: Labels; utterances with equal labels have the same transcript. The probe fills them in.
        device: Original device of the states, on which measures may compute.
    """

    speech: list[Tensor] = field(default_factory=list)
    text: list[Tensor] = field(default_factory=list)
    tokens: list[Tensor] = field(default_factory=list)
    words: list[Tensor] = field(default_factory=list)
    groups: list[Hashable] = field(default_factory=list)
    device: torch.device | str = "cpu"

    def add(self, states: LayerStates, tokens: Tensor | None, words: Tensor | None) -> None:
        """Add the states of a batch; all its rows must have both sides."""
        self.device = states.speech.device
        self.speech += _content(states.speech, states.speech_lengths)
        self.text += _content(states.text, states.text_lengths)
        if tokens is not None:
            self.tokens += _content(tokens, states.text_lengths)
        spans = states.text.new_zeros(len(states.text), 0, 4) if words is None else words
        self.words += [row[row[:, 1] > row[:, 0]].cpu() for row in spans]


class StateMeasure(ABC):
    """Measures of a layer that read all its states, not the pooled ones."""

    @abstractmethod
    def __call__(self, kept: KeptStates, counts_RN: Tensor | None) -> dict[str, Estimate]:
        """Name -> estimate, names as in ``aista.selection.layer_measures``; empty where the states allow none.

        Args:
            kept: At least two utterances.
            counts_RN: ``[R, N]`` how often each utterance is drawn in each resample; None: no intervals.

        Raises:
            ValueError: the states are not finite, or lack what the measure needs.
        """


def unit(states_ND: Tensor, device: torch.device | str) -> Tensor:
    """The states as fp32 unit vectors; 0 where a state is 0. Raises ValueError for states that are not finite."""
    states_ND = states_ND.to(device).float()
    if not bool(states_ND.isfinite().all()):
        raise ValueError("states are not finite (NaN or inf)")
    return functional.normalize(states_ND, dim=-1)


def weighted_estimate(sums_N: Tensor, numbers_N: Tensor, counts_RN: Tensor | None) -> Estimate:
    """``sum(sums_N) / sum(numbers_N)``: a mean over items of which utterance n has ``numbers_N[n]``, drawn together."""
    sums_N, numbers_N = sums_N.double().cpu(), numbers_N.double().cpu()
    samples = None if counts_RN is None else (counts_RN @ sums_N) / (counts_RN @ numbers_N)
    return estimate(float(sums_N.sum() / numbers_N.sum()), samples)


def _content(padded: Tensor, lengths: Tensor) -> list[Tensor]:
    """Each row's true positions, on the CPU."""
    return [row[:length].to("cpu", copy=True) for row, length in zip(padded, lengths.tolist(), strict=True)]
