"""chrF and chrF++ through sacrebleu."""

from __future__ import annotations

from dataclasses import dataclass

from sacrebleu.metrics.chrf import CHRF

from aista.registry import register
from aista.schema import Options, option
from aista.scoring.sacrebleu_metric import SacrebleuMetric

__all__ = ["Chrf", "ChrfConfig"]


@dataclass(frozen=True, kw_only=True)
class ChrfConfig(Options):
    """Options of ``chrf``."""

    char_order: int = option(6, "Maximum order of character n-grams.", minimum=1, maximum=100)
    word_order: int = option(0, "Maximum order of word n-grams; 0: chrF, 2: chrF++.", minimum=0, maximum=100)
    lowercase: bool = option(False, "Score lower-cased texts.")


@register("metric", "chrf", config=ChrfConfig)
class Chrf(SacrebleuMetric):
    """Corpus chrF (Popovic, 2015) exactly as sacrebleu computes it: character n-gram F2.

    Choose it beside BLEU for morphologically rich languages and small test sets; it needs no
    tokeniser, so it is comparable across tools.
    """

    name = "chrf"

    def __init__(self, config: ChrfConfig) -> None:
        super().__init__(CHRF(config.char_order, config.word_order, lowercase=config.lowercase))
