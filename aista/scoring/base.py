"""What every metric offers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aista.errors import DataError

__all__ = ["Metric", "Score", "Statistics", "check_corpus"]

Statistics = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A corpus score.

    Attributes:
        name: The metric's registry name.
        value: In the metric's usual unit (BLEU, chrF, WER and CER: 0 to 100; WER may exceed it).
        signature: Everything that must agree before two values may be compared.
        higher_is_better: False for error rates.
    """

    name: str
    value: float
    signature: str
    higher_is_better: bool


class Metric(ABC):
    """A corpus score that is a function of summed per-utterance statistics.

    A component of kind ``metric`` that names ``target_language`` gets the language code of the
    references (``fr``, ``zh-CN``); it raises ValueError where that language needs a tool that is not
    installed. Because the statistics add up, significance tests resample
    them without scoring the texts again.
    """

    name: str
    higher_is_better: bool

    @property
    @abstractmethod
    def signature(self) -> str:
        """What defines the score: tokeniser or normaliser, options, version."""

    @abstractmethod
    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> Statistics:
        """``[N, K]`` statistics of N hypothesis-reference pairs."""

    @abstractmethod
    def from_totals(self, totals: Statistics) -> float:
        """The corpus score from the ``[K]`` sum of statistics."""

    def score(self, hypotheses: Sequence[str], references: Sequence[str]) -> Score:
        """Score a corpus with one reference per hypothesis.

        Raises:
            DataError: the corpus is empty, the lengths differ, or no score is defined for it.
        """
        check_corpus(hypotheses, references)
        value = self.value(self.statistics(hypotheses, references))
        return Score(self.name, value, self.signature, self.higher_is_better)

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
