"""Errors of word times relative to reference times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aista.errors import DataError

__all__ = ["BoundaryErrors", "Deviation", "boundary_errors"]

Times = Sequence[tuple[float, float] | None]

TOLERANCES = (20, 50, 100)
"""Milliseconds within which boundaries are counted."""
_ROUNDING = 1e-6  # of times that were written in milliseconds


@dataclass(frozen=True)
class Deviation:
    """Distribution of the errors of one kind of boundary, in milliseconds.

    Attributes:
        bias: Median of the signed errors; above 0 where the times are late.
        median: Median of the absolute errors.
        mean: Their mean.
        p95: Their 95th percentile.
        within: Fractions of errors within each of ``TOLERANCES``.
    """

    bias: float
    median: float
    mean: float
    p95: float
    within: tuple[float, ...]

    @classmethod
    def of(cls, errors: NDArray[np.float64]) -> Deviation:
        """The distribution of signed errors in milliseconds; at least one."""
        sizes = np.abs(errors)
        return cls(
            bias=float(np.median(errors)),
            median=float(np.median(sizes)),
            mean=float(sizes.mean()),
            p95=float(np.percentile(sizes, 95)),
            within=tuple(float((sizes <= limit + _ROUNDING).mean()) for limit in TOLERANCES),
        )


@dataclass(frozen=True)
class BoundaryErrors:
    """Errors of the words that have a time on both sides.

    Attributes:
        num_words: Number of these words.
        only_here: Number of words without a time in the reference.
        only_reference: Number of words with a time only in the reference.
        start: Errors of the words' starts.
        end: Errors of the words' ends.
        both: Errors of both together.
    """

    num_words: int
    only_here: int
    only_reference: int
    start: Deviation
    end: Deviation
    both: Deviation

    def __str__(self) -> str:
        """A table, a line for each kind of boundary."""
        limits = "".join(f"{f'<= {limit} ms':>11}" for limit in TOLERANCES)
        lines = [f"{'':8}{'median':>8}{'mean':>8}{'95 %':>8}{'bias':>8}{limits}"]
        for name, deviation in (("start", self.start), ("end", self.end), ("both", self.both)):
            values = (deviation.median, deviation.mean, deviation.p95)
            shares = "".join(f"{f'{100 * share:.1f} %':>11}" for share in deviation.within)
            lines.append(f"{name:8}" + "".join(f"{value:8.0f}" for value in values) + f"{deviation.bias:+8.0f}{shares}")
        left_out = f"{self.only_here} timed only here, {self.only_reference} only in the reference"
        return "\n".join([f"{self.num_words} words compared ({left_out}); errors in ms", *lines])

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        kinds = {"start": self.start, "end": self.end, "both": self.both}
        counts = {name: getattr(self, name) for name in ("num_words", "only_here", "only_reference")}
        return counts | {name: vars(deviation) for name, deviation in kinds.items()}


def boundary_errors(rows: Sequence[tuple[Times, Times]]) -> BoundaryErrors:
    """Compare times word by word.

    Args:
        rows: For each utterance its times and the reference's, in seconds, None where unknown; an utterance without
            any may have none at all.

    Raises:
        DataError: no word has both, or two sides have another number of words.
    """
    errors: list[tuple[float, float]] = []
    only_here = only_reference = 0
    for times, reference in rows:
        if times and reference and len(times) != len(reference):
            raise DataError(
                f"the two sides of a row must have the same words, got {len(times)} and {len(reference)}; compare "
                "manifests with the same transcripts"
            )
        for own, true in zip(times or [None] * len(reference), reference or [None] * len(times), strict=True):
            only_here += own is not None and true is None
            only_reference += own is None and true is not None
            if own is not None and true is not None:
                errors.append((1000 * (own[0] - true[0]), 1000 * (own[1] - true[1])))
    if not errors:
        raise DataError(
            f"no word has a time on both sides ({only_here} here, {only_reference} in the reference); compare rows "
            "with the same ids"
        )
    start, end = np.array(errors).T
    both = Deviation.of(np.concatenate([start, end]))
    return BoundaryErrors(len(errors), only_here, only_reference, Deviation.of(start), Deviation.of(end), both)
