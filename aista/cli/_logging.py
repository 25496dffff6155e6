"""Terminal output of the commands that work for a while."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.logging import RichHandler

__all__ = ["configure_logging"]


def configure_logging() -> None:
    """Show aista's own messages on stderr, without levels and paths; fairseq2 replaces this while it trains."""
    handler = RichHandler(
        console=Console(stderr=True), show_path=False, show_level=False, log_time_format="%H:%M:%S", markup=False
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    logging.getLogger("aista").setLevel(logging.INFO)
