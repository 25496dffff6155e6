"""Base of metrics computed by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from aista.scoring.base import Metric, Statistics

__all__ = ["SacrebleuMetric"]


class SacrebleuMetric(Metric):
    """A score exactly as sacrebleu computes it, from sacrebleu's own statistics."""

    higher_is_better = True

    def __init__(self, scorer: BLEU | CHRF | TER) -> None:
        self._scorer = scorer
        self._scorer.num_refs = 1  # sacrebleu's signature reads it before any scoring

    @property
    def signature(self) -> str:
        return str(self._scorer.get_signature())

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> Statistics:
        return np.array(self._scorer._extract_corpus_statistics(hypotheses, [references]), dtype=np.float64)

    def from_totals(self, totals: Statistics) -> float:
        return float(self._scorer._compute_score_from_stats([int(total) for total in totals]).score)
