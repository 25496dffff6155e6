"""Word times from forced alignments of letters, as in the Mboshi corpus."""

from __future__ import annotations

import unicodedata

__all__ = ["word_times_of_letters"]

_SILENCE = "SIL"


def word_times_of_letters(alignment: str, transcript: str) -> list[tuple[float, float]]:
    """Start and end of each word in seconds; [] where the letters do not spell the transcript.

    Letters are compared without case and diacritics, which such alignments write loosely.

    Args:
        alignment: A line ``LETTER START END`` for each letter, with ``SIL`` for silence.
        transcript: Words between spaces.
    """
    letters: list[tuple[str, float, float]] = []
    for line in alignment.splitlines():
        fields = line.split()
        if not fields or fields[0] == _SILENCE:
            continue
        try:
            letter, start, end = fields[0], float(fields[1]), float(fields[2])
        except (IndexError, ValueError):
            return []
        letters += [(character, start, end) for character in _plain(letter)]
    words = [_plain(word) for word in transcript.split()]
    if "".join(words) != "".join(character for character, *_ in letters) or not all(words):
        return []
    times, place = [], 0
    for word in words:
        times.append((letters[place][1], letters[place + len(word) - 1][2]))
        place += len(word)
    return times


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
