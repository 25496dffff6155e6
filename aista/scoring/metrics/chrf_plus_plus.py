"""chrF++ as a separate metric."""

from __future__ import annotations

from dataclasses import dataclass

from sacrebleu.metrics.chrf import CHRF

from aista.registry import register
from aista.schema import Options, option
from aista.scoring.sacrebleu_metric import SacrebleuMetric

__all__ = ["ChrfPlusPlus", "ChrfPlusPlusConfig"]


@dataclass(frozen=True, kw_only=True)
class ChrfPlusPlusConfig(Options):
    """Options of ``chrf_plus_plus``."""

    lowercase: bool = option(False, "Score lower-cased texts.")


@register("metric", "chrf_plus_plus", config=ChrfPlusPlusConfig)
class ChrfPlusPlus(SacrebleuMetric):
    """Corpus chrF++ (Popovic, 2017) exactly as sacrebleu computes it: n-grams of 6 characters and 2 words, F2.

    The same as ``chrf`` with ``word_order: 2``, but with its own name, so that both can be in one table. Choose it to
    compare with results that report chrF++, such as those on FLORES; for languages without spaces choose ``chrf``.
    """

    name = "chrf_plus_plus"

    def __init__(self, config: ChrfPlusPlusConfig) -> None:
        super().__init__(CHRF(word_order=2, lowercase=config.lowercase))
