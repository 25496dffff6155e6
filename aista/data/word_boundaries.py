"""Word times from spans of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Reach", "TimedToken", "word_boundaries"]


class TimedToken(NamedTuple):
    """A token that represents sounds of a word.

    Attributes:
        word: Number of its word.
        start: When it begins, in seconds.
        end: When it ends.
    """

    word: int
    start: float
    end: float


class Reach(NamedTuple):
    r"""Share of a word in the blank frames between its tokens and those of adjacent words.

    Attributes:
        share: Part of a gap that belongs to the word before it; the rest belongs to the word behind it.
        before: Longest time that a word gets before its first token, in seconds.
        behind: Longest time that it gets behind its last one.
    """

    share: float = 0.5
    before: float = 0.2
    behind: float = 0.2


def word_boundaries(
    tokens: Sequence[TimedToken],
    num_words: int,
    seconds: float,
    reach: Reach = Reach(),  # noqa: B008
) -> list[tuple[float, float] | None]:
    """Start and end of each word; None where it has no token.

    A word lasts from its first token to its last and into the gaps on both sides.

    Args:
        tokens: In the order in which they are spoken.
        num_words: Number of words in the transcript.
        seconds: Length of the recording; the gaps at its edges are bounded by ``reach`` alone.
        reach: How far into the gaps.
    """
    spans: dict[int, tuple[float, float]] = {}
    for token in tokens:
        start, end = spans.get(token.word, (token.start, token.end))
        spans[token.word] = min(start, token.start), max(end, token.end)
    times: list[tuple[float, float] | None] = [None] * num_words
    order = sorted(spans)
    for place, word in enumerate(order):
        start, end = spans[word]
        gap_before = start - spans[order[place - 1]][1] if place else start / (1 - reach.share)
        gap_behind = spans[order[place + 1]][0] - end if place + 1 < len(order) else (seconds - end) / reach.share
        start -= min(gap_before * (1 - reach.share), reach.before)
        end += min(gap_behind * reach.share, reach.behind)
        times[word] = max(start, 0.0), max(min(end, seconds), 0.0)
    return times
