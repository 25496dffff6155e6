"""Word error rate."""

from __future__ import annotations

from collections.abc import Sequence

from aista.registry import register
from aista.scoring.edit_rate import EditRate, EditRateConfig, normalize
from aista.scoring.language import UNSPACED, language_of

__all__ = ["Wer"]


@register("metric", "wer", config=EditRateConfig)
class Wer(EditRate):
    """Corpus word error rate in percent: word edits over reference words.

    Choose it for transcripts in languages written with spaces between words; otherwise choose ``cer``.
    """

    name = "wer"
    unit = "word"

    def __init__(self, config: EditRateConfig, *, target_language: str) -> None:
        super().__init__(config)
        if language_of(target_language) in UNSPACED:
            raise ValueError(f"wer counts words between spaces, {target_language!r} is written without them; use cer")

    def units(self, text: str) -> Sequence[str]:
        return normalize(text, self.normalizer).split()
