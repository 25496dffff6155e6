"""A metric that only the source can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aista.scoring.base import Metric, Statistics


class Copied(Metric):
    """Share of hypotheses that are their source in capitals."""

    name = "copied"
    higher_is_better = True
    signature = "copied"
    needs = ("source",)

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[str], source: Sequence[str] = ()
    ) -> Statistics:
        return np.array([[h == s.upper(), 1.0] for h, s in zip(hypotheses, source, strict=True)], dtype=np.float64)

    def from_totals(self, totals: Statistics) -> float:
        return float(100 * totals[0] / totals[1])


class Heard(Copied):
    """Share of utterances whose recording is named after their source."""

    name = "heard"
    signature = "heard"
    needs = ("source", "audio")

    def statistics(
        self,
        hypotheses: Sequence[str],
        references: Sequence[str],
        source: Sequence[str] = (),
        audio: Sequence[str] = (),
    ) -> Statistics:
        return np.array([[a.endswith(f"/{s}.wav"), 1.0] for s, a in zip(source, audio, strict=True)], dtype=np.float64)
