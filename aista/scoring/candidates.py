"""N-best lists of an evaluation: the hypotheses of each row's search, with their scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aista.errors import DataError
from aista.files import write_text
from aista.text import read_lines

__all__ = ["Candidate", "read_candidates", "write_candidates"]


@dataclass(frozen=True)
class Candidate:
    """A hypothesis text of a row's search.

    Attributes:
        text: Detokenised.
        score: ``log_probability / num_tokens ** length_penalty``.
        log_probability: Log-probability of its tokens and EOS given the speech, in nats.
        num_tokens: Its length, EOS included.
        count: Number of hypotheses with this text.
        utility: Expected utility, by which candidates are ranked with ``mbr``; None without.
    """

    text: str
    score: float
    log_probability: float
    num_tokens: int
    count: int = 1
    utility: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data, numbers to six digits behind the point."""
        record: dict[str, Any] = {
            "text": self.text,
            "score": round(self.score, 6),
            "log_probability": round(self.log_probability, 6),
            "num_tokens": self.num_tokens,
        }
        return record if self.utility is None else record | {"count": self.count, "utility": round(self.utility, 6)}


def write_candidates(path: Path, rows: Mapping[str, Sequence[Candidate]]) -> None:
    """Write a JSON object per line, an id and its candidates best first, atomically."""
    records = ({"id": id, "hypotheses": [item.to_json() for item in items]} for id, items in rows.items())
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def read_candidates(path: Path) -> dict[str, tuple[Candidate, ...]]:
    """Read the file of ``write_candidates``. Raises DataError naming a malformed line."""
    rows: dict[str, tuple[Candidate, ...]] = {}
    for number, line in enumerate(read_lines(path, "no such file; `aista evaluate --n-best` writes it"), start=1):
        try:
            record = json.loads(line)
            rows[record["id"]] = tuple(Candidate(**item) for item in record["hypotheses"])
        except (ValueError, TypeError, LookupError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise DataError(
                f"{path}:{number}: malformed n-best list ({reason}); evaluate again with --n-best"
            ) from None
    return rows
