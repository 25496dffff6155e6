"""The mean of a metric over directions of translation, as a metric itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from aista.scoring.base import Metric, Statistics

__all__ = ["MacroAverage", "metrics_of_directions"]


class MacroAverage(Metric):
    r"""The mean over directions of a metric that each direction has for its target language.

    :math:`\frac1D \sum_d m_d`, independent of the number of utterances per direction. Statistics hold a block for each
    direction, filled only by its utterances; a direction without utterances is not counted.

    Args:
        parts: Direction, as ``HypothesisRow.direction`` spells it -> its metric; all of one component.
    """

    def __init__(self, parts: Mapping[str, Metric]) -> None:
        self.parts = dict(parts)
        first = next(iter(self.parts.values()))
        self.name, self.higher_is_better = first.name, first.higher_is_better
        self.scores_references = first.scores_references
        self.needs = ("direction", *first.needs)

    @property
    def signature(self) -> str:
        """The directions, and the signatures that their metrics have."""
        signatures = dict.fromkeys(metric.signature for metric in self.parts.values())
        return f"macro average of {', '.join(self.parts)}: {' and '.join(signatures)}"

    def statistics(
        self,
        hypotheses: Sequence[str],
        references: Sequence[str],
        direction: Sequence[str] = (),
        **inputs: Sequence[str],
    ) -> Statistics:
        found: dict[str, tuple[list[int], Statistics]] = {}
        for name in dict.fromkeys(direction):
            places = [place for place, value in enumerate(direction) if value == name]

            def at(texts: Sequence[str], places: Sequence[int] = places) -> list[str]:
                return [texts[place] for place in places]

            some = {need: at(values) for need, values in inputs.items()}
            found[name] = places, self.parts[name].statistics(at(hypotheses), at(references), **some)
        width = next(iter(found.values()))[1].shape[1]
        statistics = np.zeros((len(hypotheses), len(self.parts), width + 1))
        for number, name in enumerate(self.parts):
            places, of_part = found.get(name, ([], np.zeros((0, width))))
            statistics[places, number, :-1], statistics[places, number, -1] = of_part, 1
        return statistics.reshape(len(hypotheses), -1)

    def from_totals(self, totals: Statistics) -> float:
        blocks = totals.reshape(len(self.parts), -1)
        values = [
            metric.from_totals(block[:-1])
            for metric, block in zip(self.parts.values(), blocks, strict=True)
            if block[-1] > 0
        ]
        return math.fsum(values) / len(values)


def metrics_of_directions(languages: Mapping[str, str], build: Callable[[str], Sequence[Metric]]) -> list[Metric]:
    """The metrics of a test set: those of its language, or of several directions their means.

    Args:
        languages: Direction -> target language. One alone needs no name.
        build: Target language -> metrics, always the same components.
    """
    found = {name: build(language) for name, language in languages.items()}
    if len(found) == 1:
        return list(next(iter(found.values())))
    return [MacroAverage(dict(zip(found, parts, strict=True))) for parts in zip(*found.values(), strict=True)]
