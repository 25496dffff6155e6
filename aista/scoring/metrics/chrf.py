"""chrF and chrF++ through sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sacrebleu.metrics.chrf import CHRF

from aista.registry import register
from aista.schema import Options, option
from aista.scoring.base import Metric, Statistics

__all__ = ["Chrf", "ChrfConfig"]


@dataclass(frozen=True, kw_only=True)
class ChrfConfig(Options):
    """Options of ``chrf``."""

    char_order: int = option(6, "Longest character n-gram.", minimum=1)
    word_order: int = option(0, "Longest word n-gram; 0 is chrF, 2 is chrF++.", minimum=0)
    lowercase: bool = option(False, "Score lower-cased texts.")


@register("metric", "chrf", config=ChrfConfig)
class Chrf(Metric):
    """Corpus chrF (Popovic, 2015) exactly as sacrebleu computes it: character n-gram F2.

    Choose it beside BLEU for morphologically rich languages and small test sets; it needs no
    tokeniser, so it is comparable across tools.
    """

    name = "chrf"
    higher_is_better = True

    def __init__(self, config: ChrfConfig, *, target_language: str) -> None:
        self._chrf = CHRF(char_order=config.char_order, word_order=config.word_order, lowercase=config.lowercase)
        self._chrf.num_refs = 1  # sacrebleu's signature reads it before any scoring

    @property
    def signature(self) -> str:
        return str(self._chrf.get_signature())

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> Statistics:
        """n-gram counts of hypothesis, reference and both."""
        return np.array(self._chrf._extract_corpus_statistics(hypotheses, [references]), dtype=np.float64)

    def from_totals(self, totals: Statistics) -> float:
        return float(self._chrf._compute_score_from_stats([int(total) for total in totals]).score)
