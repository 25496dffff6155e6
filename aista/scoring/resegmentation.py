"""Resegments the translation of a talk to the segments of its references, so that it can be scored by segment.

After automatic segmentation, hypotheses and references have different boundaries. The words of the hypothesis are
divided so that the sum of edit distances between pieces and references is minimal (Matusov et al., 2005).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aista.scoring.edit_rate import normalize
from aista.scoring.language import UNSPACED, language_of

__all__ = ["SIGNATURE", "Resegmented", "resegment"]

SIGNATURE = "reseg:words-basic"
"""Note in the signature of a score of resegmented hypotheses."""

_UNIT = re.compile(r"[A-Za-z0-9]+\s*|\S\s*")  # of a script without spaces: a character, or a Latin word


class Resegmented(NamedTuple):
    """A hypothesis in the references' segments.

    Attributes:
        texts: One per reference, "" where no word was assigned. Joined, they are the hypothesis, up to white space.
        edits: Insertions, deletions and substitutions of words in all of them.
        words: Words of the hypothesis.
    """

    texts: tuple[str, ...]
    edits: int
    words: int


def resegment(hypothesis: str, references: Sequence[str], *, target_language: str = "") -> Resegmented:
    """Divide a hypothesis into as many pieces as there are references, with the fewest edits.

    ``min over cuts of sum_k d(words of piece k, words of reference k)``, d the Levenshtein distance: O(N M) time for N
    words against M, and O(N K) memory for K references. Words are what white space separates; in Chinese, Japanese,
    Thai and other scripts without spaces, characters. They are compared in NFKC and lower case without punctuation (a
    word of punctuation alone keeps it), and returned as they were. A word that fits nowhere ends a segment rather than
    begins one.

    Choose it for automatically segmented talks; where hypotheses and references have the same segments, it only moves
    errors to other segments.

    Args:
        hypothesis: The whole text, e.g. all segments of a talk joined by spaces.
        references: The text of each segment.
        target_language: Decides whether words or characters are compared; "" for words.

    Raises:
        ValueError: there is no reference, or ``target_language`` is not a code of ISO 639.
    """
    if not references:
        raise ValueError("resegmentation needs at least one reference, got none")
    unspaced = language_of(target_language) in UNSPACED
    units = _units(hypothesis, unspaced)
    numbers: dict[str, int] = {}
    keys = np.array([numbers.setdefault(_key(unit), len(numbers)) for unit in units], dtype=np.int64)
    segments = [[numbers.get(_key(unit), -1) for unit in _units(text, unspaced)] for text in references]
    cuts, edits = _cuts(keys, segments)
    joint = "" if unspaced else " "
    pieces = (joint.join(units[start:end]).strip() for start, end in pairwise(cuts))
    return Resegmented(tuple(pieces), edits, len(units))


def _units(text: str, unspaced: bool) -> list[str]:
    return _UNIT.findall(text) if unspaced else text.split()


def _key(unit: str) -> str:
    return normalize(unit, "basic") or unit.strip()


def _cuts(hypothesis: NDArray[np.int64], segments: Sequence[Sequence[int]]) -> tuple[list[int], int]:
    """Start of each piece and the end, and the total number of edits.

    ``cost[j]`` is that of the first j words of the hypothesis against the references so far, and ``begin[j]`` is where
    the current piece begins on the way there.
    """
    places = np.arange(len(hypothesis) + 1)
    cost, begin = places.copy(), np.zeros_like(places)
    begins = []
    for number, segment in enumerate(segments):
        if number:
            begin = places.copy()
        for word in segment:
            moved, origin = cost + 1, begin.copy()  # a word of the reference that the hypothesis lacks
            paired = cost[:-1] + (hypothesis != word)
            is_paired = paired <= moved[1:]
            moved[1:][is_paired], origin[1:][is_paired] = paired[is_paired], begin[:-1][is_paired]
            # A run of further words costs one each: a running minimum over the values less their places.
            level = moved - places
            lowest = np.minimum.accumulate(level)
            source = np.maximum.accumulate(np.where(level == lowest, places, 0))
            cost, begin = lowest + places, origin[source]
        begins.append(begin.astype(np.int32))
    cuts = [len(hypothesis)]
    for starts in reversed(begins):
        cuts.append(int(starts[cuts[-1]]))
    return cuts[::-1], int(cost[-1])
