"""Report of an import: counts by split, rows left out with reasons, and notes on the others."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ImportReport", "Reasons", "SplitSize"]

_SHOWN = 5


@dataclass
class Reasons:
    """Rows by reason: their number, and the first few places of each."""

    counts: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, place: str) -> None:
        """Count a row."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        examples = self.places.setdefault(reason, [])
        if len(examples) < _SHOWN:
            examples.append(place)

    def lines(self) -> list[str]:
        """One line for each reason, the commonest first."""
        return [
            f"{count} rows: {reason} ({', '.join(self.places[reason])}{', ...' * (count > _SHOWN)})"
            for reason, count in sorted(self.counts.items(), key=lambda item: -item[1])
        ]


@dataclass
class SplitSize:
    """Counts of a split. Seconds are of audio."""

    rows: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    without_transcript: int = 0
    without_translation: int = 0


@dataclass(frozen=True)
class ImportReport:
    """Result of an import.

    Attributes:
        out: The new folder.
        sources: Each part with its layout and the columns that were taken, as text.
        splits: Size of each manifest.
        how_split: How the splits were made.
        dropped: Rows that were left out.
        noted: Rows that were kept and that one should know about.
        duplicates: Rows whose transcript and translation both are another row's.
        repeated_audio: Rows whose audio is another row's.
        overlaps: ``dev/train`` -> rows of the first split with a transcript or translation that the second has too.
        languages: Languages that the rows say: source and target.
    """

    out: Path
    sources: tuple[str, ...]
    splits: dict[str, SplitSize]
    how_split: str
    dropped: Reasons
    noted: Reasons
    duplicates: int
    repeated_audio: int
    overlaps: dict[str, int]
    languages: tuple[tuple[str, ...], tuple[str, ...]]

    def __str__(self) -> str:
        lines = [f"{self.out}: imported", *(f"  from {source}" for source in self.sources)]
        for name, size in self.splits.items():
            lacks = [f"{size.without_transcript} without transcript"] if size.without_transcript else []
            lacks += [f"{size.without_translation} without translation"] if size.without_translation else []
            more = f" ({', '.join(lacks)})" if lacks else ""
            hours = f"{size.seconds / 3600:.2f} h, longest {size.longest:.1f} s"
            lines.append(f"  {name}.tsv: {size.rows} rows, {hours}{more}")
        lines.append(f"  splits: {self.how_split}")
        lines += [f"  left out: {line}" for line in self.dropped.lines()]
        lines += [f"  noted: {line}" for line in self.noted.lines()]
        if self.duplicates:
            lines.append(f"  noted: {self.duplicates} rows have the texts of an earlier row")
        if self.repeated_audio:
            lines.append(f"  noted: {self.repeated_audio} rows have the audio of an earlier row")
        for pair, rows in self.overlaps.items():
            first, second = pair.split("/")
            lines.append(f"  noted: {rows} rows of {first} have a transcript or translation that is in {second}, too")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            "sources": list(self.sources),
            "splits": {name: asdict(size) for name, size in self.splits.items()},
            "how_split": self.how_split,
            "dropped": asdict(self.dropped),
            "noted": asdict(self.noted),
            "duplicates": self.duplicates,
            "repeated_audio": self.repeated_audio,
            "overlaps": self.overlaps,
            "languages": [list(names) for names in self.languages],
        }
