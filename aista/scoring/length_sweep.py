"""Length-penalty sweep: the hypotheses of one search, reranked and scored under each exponent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aista.scoring.base import Score
from aista.scoring.candidates import Candidate

__all__ = ["LengthSweep", "SweepPoint", "sweep_length_penalty"]


@dataclass(frozen=True)
class SweepPoint:
    """Results of one exponent.

    Attributes:
        length_penalty: The exponent.
        scores: One per metric.
        mean_tokens: Tokens of a translation on average, EOS included.
        changed_rows: Rows whose translation is not that of the search's own exponent.
    """

    length_penalty: float
    scores: tuple[Score, ...]
    mean_tokens: float
    changed_rows: int


@dataclass(frozen=True)
class LengthSweep:
    """The points by ascending exponent, including the search's own."""

    own: float
    points: tuple[SweepPoint, ...]

    @property
    def best(self) -> SweepPoint:
        """The point with the best first score; of equal ones the one closest to the search's own exponent."""

        def merit(point: SweepPoint) -> tuple[float, float]:
            first = point.scores[0]
            return (first.value if first.higher_is_better else -first.value, -abs(point.length_penalty - self.own))

        return max(self.points, key=merit)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"own": self.own, "best": self.best.length_penalty, "points": [asdict(point) for point in self.points]}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> LengthSweep:
        """The inverse of ``to_json``."""
        points = [{**point, "scores": tuple(Score(**score) for score in point["scores"])} for point in record["points"]]
        return cls(float(record["own"]), tuple(SweepPoint(**point) for point in points))

    def table(self) -> list[list[str]]:
        """Cells of a header and a line per exponent."""
        names = [score.name for score in self.points[0].scores]
        rows = [["length_penalty", *names, "mean tokens", "changed rows"]]
        for point in self.points:
            values = [f"{score.value:.2f}" for score in point.scores]
            rows.append([f"{point.length_penalty:g}", *values, f"{point.mean_tokens:.1f}", str(point.changed_rows)])
        return rows


def sweep_length_penalty(
    exponents: Sequence[float],
    rows: Sequence[Sequence[Candidate]],
    score: Callable[[Sequence[str]], Sequence[Score]],
    *,
    own: float,
) -> LengthSweep:
    """Rerank the hypotheses of one search under each exponent, and score the best of each row.

    The exponent affects no step of ``aista.modules.generation.beam_search``, so the result is that of a new search. A
    language model with its own search may keep other beams under another exponent; then it is an approximation.

    Args:
        exponents: Values of ``length_penalty`` to try; the search's own is added.
        rows: The hypotheses of each row.
        score: Texts, one per row -> their scores.
        own: The search's own exponent.
    """

    def ranked(exponent: float) -> list[Candidate]:
        return [max(row, key=lambda item: item.log_probability / item.num_tokens**exponent) for row in rows]

    usual = [item.text for item in ranked(own)]
    points = []
    for exponent in sorted({own, *exponents}):
        best = ranked(exponent)
        texts = [item.text for item in best]
        changed = sum(one != other for one, other in zip(texts, usual, strict=True))
        mean = sum(item.num_tokens for item in best) / len(best)
        points.append(SweepPoint(exponent, tuple(score(texts)), mean, changed))
    return LengthSweep(own, tuple(points))
