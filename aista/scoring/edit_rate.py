"""Error rates by edit distance, and their text normaliser."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aista import __version__
from aista.schema import Options, option
from aista.scoring.base import Metric, Statistics
from aista.text import drop_invisible

__all__ = ["EditRate", "EditRateConfig", "edit_distance", "normalize"]

NORMALIZERS = ("basic", "none")


def normalize(text: str, how: str) -> str:
    """Normalise a text for error rates.

    ``none`` keeps the text. ``basic`` applies NFKC and lower case, removes invisible characters (``drop_invisible``),
    replaces punctuation and symbols (Unicode P* and S*) by spaces, except apostrophes and hyphens within words, and
    collapses white space.
    """
    if how == "none":
        return text
    text = drop_invisible(unicodedata.normalize("NFKC", text)).lower().replace("\u2019", "'").replace("\u2010", "-")
    characters = [
        char if unicodedata.category(char)[0] not in "PS" or _joins(text, place) else " "
        for place, char in enumerate(text)
    ]
    return " ".join("".join(characters).split())


def _joins(text: str, place: int) -> bool:
    """Whether the character is an apostrophe or hyphen between two letters or digits."""
    inside = 0 < place < len(text) - 1
    return text[place] in "'-" and inside and text[place - 1].isalnum() and text[place + 1].isalnum()


def edit_distance(hypothesis: Sequence[str], reference: Sequence[str]) -> int:
    """Fewest insertions, deletions and substitutions between two sequences (Levenshtein, 1966)."""
    if not hypothesis or not reference:
        return max(len(hypothesis), len(reference))
    numbers: dict[str, int] = {}
    hyp = [numbers.setdefault(unit, len(numbers)) for unit in hypothesis]
    ref = np.array([numbers.setdefault(unit, len(numbers)) for unit in reference])
    offsets = np.arange(len(ref) + 1)
    row = offsets.copy()
    for unit in hyp:
        moved = row + 1
        moved[1:] = np.minimum(moved[1:], row[:-1] + (ref != unit))
        # A run of deletions costs one each: a running minimum over the values less their offsets.
        row = np.minimum.accumulate(moved - offsets) + offsets
    return int(row[-1])


@dataclass(frozen=True, kw_only=True)
class EditRateConfig(Options):
    """Options of every error rate."""

    normalizer: str = option(
        "basic",
        "basic: NFKC, lower case, invisible characters removed, and punctuation except ' and - inside words; none: "
        "unchanged.",
        choices=NORMALIZERS,
    )


class EditRate(Metric):
    """100 * edits / reference units, summed over the corpus before dividing."""

    higher_is_better = False
    unit: str

    def __init__(self, config: EditRateConfig) -> None:
        self.normalizer = config.normalizer

    @property
    def signature(self) -> str:
        """``nrefs:1|unit:word|norm:basic|version:aista-0.2.0``; ours, as sacrebleu has no such metric."""
        return f"nrefs:1|unit:{self.unit}|norm:{self.normalizer}|version:aista-{__version__}"

    def units(self, text: str) -> Sequence[str]:
        """The normalised text as the units that are counted."""
        raise NotImplementedError

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> Statistics:
        """Edits and reference units per utterance."""
        rows = []
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            expected = self.units(reference)
            rows.append((edit_distance(self.units(hypothesis), expected), len(expected)))
        return np.array(rows, dtype=np.float64)

    def from_totals(self, totals: Statistics) -> float:
        """The rate in percent; NaN where the references hold no unit."""
        edits, length = totals
        return float(100 * edits / length) if length else float("nan")
