"""Inputs of translated utterances, for metrics that need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aista.errors import DataError
from aista.text import is_blank

__all__ = ["NEEDS", "NO_INPUTS", "UtteranceInputs"]

NEEDS = ("source", "audio", "direction")
"""Possible entries of a metric's ``needs``; see ``UtteranceInputs``."""

_MEANINGS = {"source": "the transcript", "audio": "the audio", "direction": "the languages"}
_REMEDIES = {
    "source": "fill the column src_text of the manifest, or give `aista score` the transcripts by --source FILE",
    "audio": "evaluate a manifest with a column audio, or give it to `aista score` by --source FILE",
    "direction": "evaluate a manifest with the columns src_lang and tgt_lang",
}


@dataclass(frozen=True)
class UtteranceInputs:
    """Inputs that hypotheses were translated from, one per utterance and in their order; None where unknown.

    Attributes:
        source: The transcripts in the source language; "" where one is missing.
        audio: Place of the speech, in the form of ``aista.data.audio.read_audio``: an absolute path, or
            ``file.zip:offset:length``; "" where there is none.
        direction: Source and target language, in the form of ``HypothesisRow.direction``.
    """

    source: Sequence[str] | None = None
    audio: Sequence[str] | None = None
    direction: Sequence[str] | None = None

    def at(self, places: Sequence[int]) -> UtteranceInputs:
        """The inputs of some utterances, by index."""
        known = (self.source, self.audio, self.direction)
        return UtteranceInputs(*(None if texts is None else [texts[i] for i in places] for texts in known))

    def of(self, needs: Sequence[str], size: int, metric: str) -> dict[str, Sequence[str]]:
        """The inputs that a metric needs of ``size`` utterances, by name.

        Raises:
            DataError: utterances lack an input (the message counts them), or the number of inputs differs.
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
"""No inputs are known."""
