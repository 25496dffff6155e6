"""The test utterances that the report shows: hypotheses of all runs, scored sentence by sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aista.scoring.base import Metric
from aista.scoring.hypotheses import HypothesisRow

__all__ = ["Browser", "Utterance", "browse"]


@dataclass(frozen=True)
class Utterance:
    """One utterance: its translations and their sentence scores by run label; ``transcript`` is "" where unknown."""

    id: str
    transcript: str
    reference: str
    hypotheses: Mapping[str, str]
    scores: Mapping[str, float]

    @property
    def spread(self) -> tuple[float, float]:
        """Largest and smallest difference of a later run's score from the first's; of one run, its score twice."""
        first, *others = self.scores.values()
        differences = [score - first for score in others] or [first]
        return max(differences), min(differences)


@dataclass(frozen=True)
class Browser:
    """The shown utterances of ``num_utterances``, in test-set order, with the sentence metric and its signature."""

    split: str
    metric: str
    signature: str
    utterances: tuple[Utterance, ...]
    num_utterances: int

    def extremes(self) -> list[str]:
        """Ids, largest score differences first, alternating gains and losses."""
        return _alternating(self.utterances)


def browse(
    split: str, rows: Sequence[HypothesisRow], hypotheses: Mapping[str, Sequence[str]], metric: Metric, limit: int
) -> Browser:
    """Score all utterances and show at most ``limit``: the largest score differences, alternating gains and losses.

    Args:
        split: The evaluated split.
        rows: The test set.
        hypotheses: Run label -> hypotheses in the order of ``rows``, the baseline first.
        metric: Scores single sentences; chrF is a sensible one.
        limit: Maximum number of utterances.
    """
    references = [row.reference for row in rows]
    scores = {
        label: [metric.from_totals(row) for row in metric.statistics(texts, references)]
        for label, texts in hypotheses.items()
    }
    utterances = [
        Utterance(
            row.id,
            row.src_text,
            row.reference,
            {label: texts[index] for label, texts in hypotheses.items()},
            {label: values[index] for label, values in scores.items()},
        )
        for index, row in enumerate(rows)
    ]
    wanted = set(_alternating(utterances)[:limit])
    shown = tuple(item for item in utterances if item.id in wanted)
    return Browser(split, metric.name, metric.signature, shown, len(utterances))


def _alternating(utterances: Sequence[Utterance]) -> list[str]:
    best = sorted(utterances, key=lambda item: -item.spread[0])
    worst = sorted(utterances, key=lambda item: item.spread[1])
    turns = (item.id for pair in zip(best, worst, strict=True) for item in pair)
    return list(dict.fromkeys(turns))
