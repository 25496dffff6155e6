"""Log lines in the terminal: the time and the message, nothing else."""

from __future__ import annotations

import logging
import sys

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler

__all__ = ["terminal_handler"]


def terminal_handler(console: Console | None = None) -> logging.Handler:
    """A handler for stderr: rich in a terminal (so that progress bars stay below), plain lines elsewhere."""
    if not sys.stderr.isatty():
        handler: logging.Handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        return handler
    handler = RichHandler(
        console=console or Console(stderr=True),
        show_path=False,
        show_level=False,
        log_time_format="%H:%M:%S",
        highlighter=NullHighlighter(),
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler
