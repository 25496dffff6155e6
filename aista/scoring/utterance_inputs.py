"""What was translated, for metrics that judge hypotheses by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aista.errors import DataError
from aista.text import is_blank

__all__ = ["NEEDS", "NO_INPUTS", "UtteranceInputs"]

NEEDS = ("source", "audio", "direction")
"""What a metric can ask for in its ``needs``; see ``UtteranceInputs``."""

_MEANINGS = {"source": "the transcript", "audio": "the audio", "direction": "the languages"}
_REMEDIES = {
    "source": "fill the column src_text of the manifest, or give `aista score` the transcripts by --source FILE",
    "audio": "evaluate a manifest with a column audio, or give it to `aista score` by --source FILE",
    "direction": "evaluate a manifest with the columns src_lang and tgt_lang",
}


@dataclass(frozen=True)
class UtteranceInputs:
    """What hypotheses were translated from, one per utterance and in their order; None where it is not known at all.

    Attributes:
        source: The transcripts in the source language; "" where one is missing.
        audio: Where the speech lies, as ``aista.data.audio.read_audio`` takes it: an absolute path, or
            ``file.zip:offset:length``; "" where there is none.
        direction: Source and target language, as ``HypothesisRow.direction`` spells them.
    """

    source: Sequence[str] | None = None
    audio: Sequence[str] | None = None
    direction: Sequence[str] | None = None

    def at(self, places: Sequence[int]) -> UtteranceInputs:
        """Those of some utterances."""
        known = (self.source, self.audio, self.direction)
        return UtteranceInputs(*(None if texts is None else [texts[i] for i in places] for texts in known))

    def of(self, needs: Sequence[str], size: int, metric: str) -> dict[str, Sequence[str]]:
        """What a metric needs of ``size`` utterances, by name.

        Raises:
            DataError: some lack it, which are counted, or there is another number of them.
        """
        return {need: self._complete(need, size, metric) for need in needs}

    def _complete(self, need: str, size: int, metric: str) -> Sequence[str]:
        texts: Sequence[str] | None = getattr(self, need)
        if texts is None:
            texts = [""] * size
        if len(texts) != size:
            raise DataError(
                f"{metric}: needs {_MEANINGS[need]} of each utterance, got {len(texts)} for {size} utterances"
            )
        lacking = [number for number, text in enumerate(texts, start=1) if is_blank(text)]
        if lacking:
            first = f" (first: utterance {lacking[0]})" if len(lacking) < size else ""
            raise DataError(
                f"{metric}: needs {_MEANINGS[need]} of each utterance, and {len(lacking)} of {size} have none{first}; "
                f"{_REMEDIES[need]}"
            )
        return texts


NO_INPUTS = UtteranceInputs()
"""Nothing is known but the texts."""
