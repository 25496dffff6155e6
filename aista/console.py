"""Messages for terminals and logs, with control characters escaped."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import IO

__all__ = ["align_columns", "duration", "escaped", "escaped_lines", "hanging", "say"]

# C0, DEL and C1; line and paragraph separators; bidirectional embeddings, overrides and isolates; lone surrogates.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NARROWEST = 20  # columns of a wrapped text beside its indent


def escaped(text: object) -> str:
    r"""``str(text)`` on one line with control characters escaped: ESC becomes ``\x1b``, a line break ``\n``.

    For ids, texts, column names and paths. Letters of any script stay; so do backslashes.
    """
    return _CONTROL.sub(lambda hit: repr(hit[0])[1:-1], str(text))


def escaped_lines(text: str) -> str:
    """A text whose lines are each ``escaped``."""
    return "\n".join(map(escaped, text.split("\n")))


def say(message: object, stream: IO[str] | None = None) -> None:
    """Print a message, each of its lines ``escaped``; to stdout by default."""
    print(escaped_lines(str(message)), file=stream, flush=True)


def hanging(text: str, indent: int) -> str:
    """A text for stdout whose lines are wrapped to the terminal's width, continued at column ``indent``.

    Without a terminal, where what reads them goes line by line, they stay whole.
    """
    if not sys.stdout.isatty():
        return text
    wrapper = textwrap.TextWrapper(
        width=max(shutil.get_terminal_size().columns, indent + _NARROWEST),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(wrapper.fill(line) for line in escaped_lines(text).split("\n"))


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format rows of cells as lines: the first column left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([name.ljust(widths[0]), *(map(str.rjust, numbers, widths[1:]))]).rstrip() for name, *numbers in rows
    ]


def duration(seconds: float) -> str:
    """Format a duration in its two largest units: ``40 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
