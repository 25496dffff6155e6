"""BLEU through sacrebleu, with the tokeniser that the target language needs."""

from __future__ import annotations

from dataclasses import dataclass

from sacrebleu.metrics.bleu import BLEU

from aista.registry import register
from aista.schema import Options, option
from aista.scoring.language import CHINESE, JAPANESE, KOREAN, UNSPACED, language_of
from aista.scoring.sacrebleu_metric import SacrebleuMetric
from aista.scoring.spm_models import SPM_TOKENIZERS, require_model

__all__ = ["Bleu", "BleuConfig"]

CHOICES = ("13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", *SPM_TOKENIZERS, "none")


@dataclass(frozen=True, kw_only=True)
class BleuConfig(Options):
    """Options of ``bleu``."""

    tokenize: str | None = option(
        None,
        "sacrebleu tokeniser; null picks zh for Chinese, ja-mecab for Japanese, ko-mecab for Korean, char for other "
        "languages written without spaces, 13a otherwise. flores101 and flores200 (spBLEU) cut any language by a "
        "SentencePiece model, which is downloaded once.",
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
        if config.tokenize is None and not target_language.strip():
            raise ValueError(
                "tokenize: the target language is unknown, so the tokeniser cannot be chosen; "
                "name it (data.target_language in a config, --target-language of `aista score`, the column tgt_lang of "
                "hypotheses), or the tokeniser: {name: bleu, config: {tokenize: 13a}}"
            )
        tokenize = config.tokenize or _tokenizer(target_language)
        if tokenize in SPM_TOKENIZERS:
            require_model(tokenize)
        try:
            super().__init__(BLEU(tokenize=tokenize, lowercase=config.lowercase))
        except RuntimeError as error:
            extra = tokenize.split("-")[0]
            raise ValueError(
                f"tokenize: {tokenize!r} needs a package that is not installed; "
                f"run `pip install 'sacrebleu[{extra}]'` or set tokenize to char"
            ) from error


def _tokenizer(target_language: str) -> str:
    language = language_of(target_language)
    if language in CHINESE:
        return "zh"
    if language in JAPANESE:
        return "ja-mecab"
    if language in KOREAN:
        return "ko-mecab"
    return "char" if language in UNSPACED else "13a"
