"""Word error rate."""

from __future__ import annotations

from collections.abc import Sequence

from aista.registry import register
from aista.scoring.edit_rate import EditRate, EditRateConfig, normalize

__all__ = ["Wer"]


@register("metric", "wer", config=EditRateConfig)
class Wer(EditRate):
    """Corpus word error rate in percent: word edits over reference words.

    Choose it for transcripts in languages that write spaces between words; else ``cer``.
    """

    name = "wer"
    unit = "word"

    def units(self, text: str) -> Sequence[str]:
        return normalize(text, self.normalizer).split()
