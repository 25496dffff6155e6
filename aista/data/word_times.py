"""Word times of a transcript: the manifest's column ``word_times``, and token spans derived from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from aista.data.tokenizers.base import TextTokenizer

__all__ = ["Times", "WordSpan", "check_word_times", "format_word_times", "parse_word_times", "word_spans"]

Times = tuple[float, float] | None
"""Start and end of a word in seconds; None where they are unknown."""

_UNKNOWN = "-"
_NUMBER = r"(\d+(?:\.\d+)?)"
_FIELD = re.compile(f"{_NUMBER}-{_NUMBER}")
_TOLERANCE = 0.05  # of aligners, which round to their frames


class WordSpan(NamedTuple):
    """Place of a word in both modalities.

    Attributes:
        first_token: Index of its first token in the transcript.
        end_token: Index behind its last one.
        start: Share of the utterance, 0 to 1, that is over when the word begins.
        end: The share when it ends.
    """

    first_token: int
    end_token: int
    start: float
    end: float


def parse_word_times(text: str) -> list[Times]:
    """``"0.10-0.35 - 0.50-0.80"`` -> start and end in seconds of each word, None where unknown.

    Raises:
        ValueError: a field is neither.
    """
    times: list[Times] = []
    for field in text.split():
        match = _FIELD.fullmatch(field)
        if match is None and field != _UNKNOWN:
            raise ValueError(f"must hold START-END in seconds, or - where unknown, for each word, got {field!r}")
        times.append((float(match[1]), float(match[2])) if match else None)
    return times


def format_word_times(times: Sequence[Times]) -> str:
    """Format word times for ``parse_word_times``, to the millisecond; "" where no time is known."""
    if not any(times):
        return ""
    return " ".join(_UNKNOWN if span is None else f"{span[0]:.3f}-{span[1]:.3f}" for span in times)


def check_word_times(text: str, transcript: str, seconds: float) -> None:
    """Check a manifest's field against the row's other fields.

    Raises:
        ValueError: its format is wrong, it has not one entry per word, or a time is impossible.
    """
    times = parse_word_times(text)
    words = transcript.split()
    if len(times) != len(words):
        raise ValueError(f"must have one entry for each of the {len(words)} words of src_text, got {len(times)}")
    for word, span in zip(words, times, strict=True):
        if span is None:
            continue
        start, end = span
        if not start < end <= seconds + _TOLERANCE:
            rule = f"must end after it starts and within the audio's {seconds:.3f} s"
            raise ValueError(f"{word!r} {rule}, got {start:g}-{end:g}")


def word_spans(transcript: str, word_times: str, tokenizer: TextTokenizer, seconds: float) -> list[WordSpan]:
    """The words of a transcript that have a time and at least one token.

    A token belongs to the word of its first character other than space; a token of only spaces, such as
    SentencePiece's mark of a word's beginning, to the word behind it.

    Args:
        transcript: ``src_text`` of a row.
        word_times: Its column of that name; "" gives no spans.
        tokenizer: Says where its tokens lie in the text.
        seconds: Seconds of the encoder's input: the recording, and silence appended by the feature.

    Raises:
        DataError: the tokenizer cannot say it.
    """
    if not word_times:
        return []
    words = enumerate(re.finditer(r"\S+", transcript))
    word_at = {position: index for index, word in words for position in range(*word.span())}
    tokens: dict[int, list[int]] = {}
    spaces: list[int] = []
    for token, (begin, end) in enumerate(tokenizer.offsets(transcript)):
        word = next((word_at[position] for position in range(begin, end) if position in word_at), None)
        spaces.append(token)
        if word is not None:
            tokens.setdefault(word, []).extend(spaces)
            spaces = []
    return [
        WordSpan(tokens[word][0], tokens[word][-1] + 1, min(span[0] / seconds, 1.0), min(span[1] / seconds, 1.0))
        for word, span in enumerate(parse_word_times(word_times))
        if span is not None and word in tokens and span[0] < seconds
    ]
