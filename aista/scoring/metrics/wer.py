"""Word error rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aista.registry import register
from aista.schema import Options, option
from aista.scoring.edit_rate import NORMALIZERS, EditRate, normalize

__all__ = ["Wer", "WerConfig"]


@dataclass(frozen=True, kw_only=True)
class WerConfig(Options):
    """Options of ``wer``."""

    normalizer: str = option(
        "basic",
        "basic: NFKC, lower case, punctuation removed except ' and - inside words; none: unchanged.",
        choices=NORMALIZERS,
    )


@register("metric", "wer", config=WerConfig)
class Wer(EditRate):
    """Corpus word error rate in percent: word edits over reference words.

    Choose it for transcripts in languages that write spaces between words; else ``cer``.
    """

    name = "wer"
    unit = "word"

    def __init__(self, config: WerConfig, *, target_language: str) -> None:
        super().__init__(config.normalizer)

    def units(self, text: str) -> Sequence[str]:
        return normalize(text, self.normalizer).split()
