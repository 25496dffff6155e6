"""Where a text stands in a file, for messages that must name the line."""

from pathlib import Path


def line_of(file: Path, text: str) -> int | None:
    """The number of the first line that holds a text, from 1; None where none does."""
    return next((number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line), None)
