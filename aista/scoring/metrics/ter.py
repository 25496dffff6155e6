"""TER through sacrebleu."""

from __future__ import annotations

from dataclasses import dataclass

from sacrebleu.metrics.ter import TER

from aista.registry import register
from aista.schema import Options, option
from aista.scoring.sacrebleu_metric import SacrebleuMetric

__all__ = ["Ter", "TerConfig"]


@dataclass(frozen=True, kw_only=True)
class TerConfig(Options):
    """Options of ``ter``."""

    normalized: bool = option(False, "Split punctuation and symbols off the words.")
    no_punct: bool = option(False, "Drop punctuation.")
    asian_support: bool = option(False, "With either of them, treat each Chinese and Japanese character as a word.")
    case_sensitive: bool = option(False, "Distinguish upper and lower case.")


@register("metric", "ter", config=TerConfig)
class Ter(SacrebleuMetric):
    """Translation edit rate (Snover et al., 2006) exactly as sacrebleu computes it: word edits and block shifts.

    In percent of the reference's words, lower is better. Choose it to compare with published results that report it; it
    counts words, so it is not meaningful for languages written without spaces.
    """

    name = "ter"
    higher_is_better = False

    def __init__(self, config: TerConfig) -> None:
        super().__init__(
            TER(
                normalized=config.normalized,
                no_punct=config.no_punct,
                asian_support=config.asian_support,
                case_sensitive=config.case_sensitive,
            )
        )
