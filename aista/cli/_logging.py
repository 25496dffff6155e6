"""Terminal output of the commands that work for a while."""

from __future__ import annotations

import logging

from aista.console import terminal_handler

__all__ = ["configure_logging"]


def configure_logging() -> None:
    """Show aista's own messages on stderr; fairseq2 replaces this while it trains."""
    logging.getLogger().handlers[:] = [terminal_handler()]
    logging.getLogger("aista").setLevel(logging.INFO)
