"""Interface of metrics."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aista.errors import DataError
from aista.scoring.utterance_inputs import NEEDS, NO_INPUTS, UtteranceInputs

__all__ = ["Metric", "Score", "Statistics", "check_corpus"]

Statistics = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A corpus score.

    Attributes:
        name: The metric's registry name.
        value: In the metric's usual unit (BLEU, chrF, WER and CER: 0 to 100; WER may exceed it).
        signature: Everything that must be equal for two values to be comparable.
        higher_is_better: False for error rates.
        references: Score of the references in place of the hypotheses; None where that is perfect by definition.
    """

    name: str
    value: float
    signature: str
    higher_is_better: bool
    references: float | None = None

    def __str__(self) -> str:
        beside = "" if self.references is None else f" (references {self.references:.2f})"
        return f"{self.name} {self.value:.2f}{beside}"


class Metric(ABC):
    """A corpus score that is a function of summed per-utterance statistics.

    A component of kind ``metric`` that names ``target_language`` gets the language code of the
    references (``fr``, ``zh-CN``); it raises ValueError where that language needs a tool that is not
    installed. Because the statistics add up, significance tests resample
    them without scoring the texts again.

    Attributes:
        name: Name of its score.
        higher_is_better: False for error rates.
        scores_references: Whether references need not score perfectly, so that their score is reported beside others.
        needs: Names, among ``NEEDS``, of inputs other than the texts. ``statistics`` gets each as a keyword argument,
            complete: ``def statistics(self, hypotheses, references, source=())`` for ``needs = ("source",)``.
    """

    name: str
    higher_is_better: bool
    scores_references: bool = False
    needs: tuple[str, ...] = ()

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Check ``needs`` when the subclass is defined. Raises TypeError."""
        super().__init_subclass__(**arguments)
        if not isinstance(cls.needs, tuple) or not set(cls.needs) <= set(NEEDS):
            raise TypeError(
                f"{cls.__name__}.needs must be a tuple of names among {', '.join(NEEDS)}, got {cls.needs!r}"
            )

    @property
    @abstractmethod
    def signature(self) -> str:
        """Definition of the score: tokeniser or normaliser, options, version."""

    @abstractmethod
    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> Statistics:
        """``[N, K]`` statistics of N hypothesis-reference pairs; inputs in ``needs`` are keyword arguments."""

    @abstractmethod
    def from_totals(self, totals: Statistics) -> float:
        """The corpus score from the ``[K]`` sum of statistics."""

    def score(self, hypotheses: Sequence[str], references: Sequence[str], inputs: UtteranceInputs = NO_INPUTS) -> Score:
        """Score a corpus with one reference per hypothesis.

        Args:
            hypotheses: The system's texts.
            references: One for each hypothesis.
            inputs: The translated inputs, for metrics that need them.

        Raises:
            DataError: the corpus is empty, the lengths differ, the score is undefined, or an utterance lacks an input
                that the metric needs.
        """
        value = self.value(self.measure(hypotheses, references, inputs))
        gold = self.value(self.measure(references, references, inputs)) if self.scores_references else None
        return Score(self.name, value, self.signature, self.higher_is_better, gold)

    def measure(
        self, hypotheses: Sequence[str], references: Sequence[str], inputs: UtteranceInputs = NO_INPUTS
    ) -> Statistics:
        """The ``statistics`` of a corpus, checked, with the inputs that the metric needs; errors as in ``score``."""
        check_corpus(hypotheses, references)
        return self.statistics(hypotheses, references, **inputs.of(self.needs, len(references), self.name))

    def value(self, statistics: Statistics) -> float:
        """The corpus score of ``[N, K]`` statistics. Raises DataError where it is undefined."""
        value = self.from_totals(statistics.sum(axis=0))
        if not math.isfinite(value):
            raise DataError(f"{self.name} is undefined: the references hold nothing to compare with")
        return value


def check_corpus(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Raise DataError unless both are lists of texts of one length above zero."""
    for name, texts in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise DataError(f"{name} must be a list of texts, got {texts!r:.80}")
    if len(hypotheses) != len(references):
        raise DataError(
            f"scoring needs one reference per hypothesis, got {len(hypotheses)} hypotheses "
            f"and {len(references)} references"
        )
    if not hypotheses:
        raise DataError("scoring needs at least one utterance, got an empty corpus")
