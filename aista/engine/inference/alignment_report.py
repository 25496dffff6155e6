"""Report of ``aista data align``: rows, words, reasons of missing times, confidences, errors against a reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aista.data.inspection import Inspection
from aista.engine.inference.aligned_row import AlignedRow
from aista.scoring.boundary_error import BoundaryErrors

__all__ = ["AlignmentReport"]

_EXAMPLES = 5
_QUANTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class AlignmentReport:
    """Results for each row.

    Attributes:
        out: The manifest that was written.
        num_rows: Rows in it.
        inspection: The rows that could be aligned, and the reasons for the others.
        aligned: Id -> words of the rows that were.
        min_confidence: Words below it have no time.
        errors: Against the reference; None without one.
        seconds: Time of the command.
    """

    out: Path
    num_rows: int
    inspection: Inspection
    aligned: Mapping[str, AlignedRow]
    min_confidence: float
    errors: BoundaryErrors | None = None
    seconds: float = 0.0

    @property
    def num_words(self) -> int:
        """Words of the rows that were aligned."""
        return sum(len(row.words) for row in self.aligned.values())

    @property
    def num_timed(self) -> int:
        """Number of these words with a time."""
        return sum(span is not None for row in self.aligned.values() for span in row.times)

    @property
    def confidences(self) -> list[float]:
        """Confidences of all words with aligned tokens, including words left without a time for a low one."""
        return [value for row in self.aligned.values() for value in row.confidences if value is not None]

    def __str__(self) -> str:
        """The outcome as text."""
        timed_rows = sum(any(row.times) for row in self.aligned.values())
        share = 100 * self.num_timed / max(1, self.num_words)
        lines = [
            f"{self.out}: {timed_rows} of {self.num_rows} rows aligned, {self.num_timed} of their {self.num_words} "
            f"words timed ({share:.1f} %); {self.seconds:.1f} s",
            *self._rows_left_out(),
            *self._words_left_out(),
        ]
        if self.confidences:
            values = np.percentile(self.confidences, _QUANTILES)
            quantiles = ", ".join(f"{rank} % {value:.2f}" for rank, value in zip(_QUANTILES, values, strict=True))
            lines.append(f"  confidence of the words (quantiles): {quantiles}")
        if self.errors is not None:
            lines += ["compared with the reference:", *(f"  {line}" for line in str(self.errors).splitlines())]
        return "\n".join(lines)

    def _rows_left_out(self) -> Iterator[str]:
        for reason, count in self.inspection.set_aside.items():
            yield f"  {count} rows not aligned: {reason}"
        kinds: dict[str, list[str]] = {}
        for problem in self.inspection.problems:
            example = f"{self.inspection.manifest}:{problem.line}: {problem.id}: {problem.message}"
            kinds.setdefault(problem.kind, []).append(example)
        for kind, examples in kinds.items():
            remedy = "; --max-seconds takes longer ones" if kind == "too long" else ""
            yield f"  {len(examples)} rows not aligned: {kind}{remedy}"
            yield from _shortened(examples)

    def _words_left_out(self) -> Iterator[str]:
        reasons: dict[str, list[str]] = {}
        incomplete: list[str] = []
        for id, row in self.aligned.items():
            for word, confidence, reason in zip(row.words, row.confidences, row.reasons, strict=True):
                certainty = "" if confidence is None else f" ({confidence:.2f})"
                if reason:
                    reasons.setdefault(reason, []).append(f"{id}: {word}{certainty}")
            incomplete += [f"{id}: {row.words[word]}" for word in sorted(row.incomplete)]
        for reason, examples in sorted(reasons.items()):
            yield f"  {len(examples)} words left empty: {reason}"
            yield from _shortened(examples)
        if incomplete:
            yield f"  {len(incomplete)} words timed by a part of their letters: the others are not in the vocabulary"
            yield from _shortened(incomplete)


def _shortened(examples: list[str]) -> Iterator[str]:
    yield from (f"    {example}" for example in examples[:_EXAMPLES])
    if len(examples) > _EXAMPLES:
        yield f"    ... and {len(examples) - _EXAMPLES} more"
