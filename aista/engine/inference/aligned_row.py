"""Word times of a row from the spans of its tokens, each with a confidence or the reason why it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aista.data.spelling import Spelling
from aista.data.word_boundaries import TimedToken, word_boundaries
from aista.data.word_times import Times

__all__ = ["LOW_CONFIDENCE", "NO_PATH", "OUTSIDE", "UNSPELT", "AlignedRow", "TokenSpan", "time_words"]

UNSPELT = "no letter or digit of it is in the model's vocabulary"
NO_PATH = "fewer frames than its row's tokens need"
OUTSIDE = "outside of the recording"
LOW_CONFIDENCE = "confidence below --min-confidence"

_LEAST = 0.001  # seconds; manifests hold milliseconds


@dataclass(frozen=True)
class TokenSpan:
    """A token's first frame, the frame after its last, and its mean posterior in them."""

    first: int
    end: int
    posterior: float


@dataclass(frozen=True)
class AlignedRow:
    """The words of a transcript.

    Attributes:
        words: The words.
        times: Start and end of each in seconds; None where it is left empty.
        confidences: Mean posterior of each one's tokens; None where it has no aligned token.
        reasons: Why a word is left empty; "" where it has a time.
        incomplete: Words with a time, of which a letter or digit is not in the vocabulary.
    """

    words: tuple[str, ...]
    times: tuple[Times, ...]
    confidences: tuple[float | None, ...]
    reasons: tuple[str, ...]
    incomplete: frozenset[int]


def time_words(
    spelling: Spelling,
    spans: Sequence[TokenSpan] | None,
    *,
    frame_seconds: float,
    seconds: float,
    min_confidence: float,
    shift: float = 0.0,
) -> AlignedRow:
    """The times of a row's words.

    Args:
        spelling: Its tokens.
        spans: Their spans; None where there is no path.
        frame_seconds: Length of a frame.
        seconds: Length of the recording.
        min_confidence: Words below it are left empty.
        shift: Seconds by which the tokens are late.
    """
    num_words = len(spelling.words)
    times: list[Times] = [None] * num_words
    confidences: list[float | None] = [None] * num_words
    if spans is not None:
        owned = [(owner, span) for owner, span in zip(spelling.owners, spans, strict=True) if owner is not None]
        tokens = [
            TimedToken(owner, span.first * frame_seconds - shift, span.end * frame_seconds - shift)
            for owner, span in owned
        ]
        times = word_boundaries(tokens, num_words, seconds)
        for word in {owner for owner, _ in owned}:
            posteriors = [span.posterior for owner, span in owned if owner == word]
            confidences[word] = sum(posteriors) / len(posteriors)
    reasons = [""] * num_words
    for word, (span, confidence) in enumerate(zip(times, confidences, strict=True)):
        if word in spelling.unspelt:
            reasons[word] = UNSPELT
        elif span is None or confidence is None:
            reasons[word] = NO_PATH
        elif span[1] - span[0] < _LEAST:
            reasons[word] = OUTSIDE
        elif confidence < min_confidence:
            reasons[word] = LOW_CONFIDENCE
    kept = tuple(None if reason else span for span, reason in zip(times, reasons, strict=True))
    incomplete = frozenset(word for word in spelling.incomplete if kept[word] is not None)
    return AlignedRow(spelling.words, kept, tuple(confidences), tuple(reasons), incomplete)
