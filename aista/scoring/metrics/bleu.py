"""BLEU through sacrebleu, with the tokeniser that the target language needs."""

from __future__ import annotations

from dataclasses import dataclass

from sacrebleu.metrics.bleu import BLEU

from aista.registry import register
from aista.schema import Options, option
from aista.scoring.base import language_of
from aista.scoring.sacrebleu_metric import SacrebleuMetric

__all__ = ["Bleu", "BleuConfig"]

TOKENIZERS = {"zh": "zh", "zho": "zh", "cmn": "zh", "yue": "zh"} | {"ja": "ja-mecab", "jpn": "ja-mecab"}
TOKENIZERS |= {"ko": "ko-mecab", "kor": "ko-mecab"}
CHOICES = ("13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none")


@dataclass(frozen=True, kw_only=True)
class BleuConfig(Options):
    """Options of ``bleu``."""

    tokenize: str | None = option(
        None,
        "sacrebleu tokeniser; null picks zh for Chinese, ja-mecab for Japanese, ko-mecab for Korean, 13a otherwise.",
        choices=CHOICES,
    )
    lowercase: bool = option(False, "Score lower-cased texts.")


@register("metric", "bleu", config=BleuConfig)
class Bleu(SacrebleuMetric):
    """Corpus BLEU (Papineni et al., 2002) exactly as sacrebleu computes it (Post, 2018).

    Give it detokenised, cased text. Choose it to compare with published results, and then compare
    signatures first: the tokeniser alone moves Chinese or Japanese by tens of points.
    """

    name = "bleu"

    def __init__(self, config: BleuConfig, *, target_language: str) -> None:
        language = language_of(target_language)
        if config.tokenize is None and not language:
            raise ValueError(
                "tokenize: the target language is unknown, so the tokeniser cannot be chosen; "
                "give the data's target language (tgt_lang) or set tokenize, e.g. 13a"
            )
        tokenize = config.tokenize or TOKENIZERS.get(language, "13a")
        try:
            super().__init__(BLEU(tokenize=tokenize, lowercase=config.lowercase))
        except RuntimeError as error:
            extra = tokenize.split("-")[0]
            raise ValueError(
                f"tokenize: {tokenize!r} needs a package that is not installed; "
                f"run `pip install 'sacrebleu[{extra}]'` or set tokenize to char"
            ) from error
