"""What rich draws in a terminal: log lines (the time and the message, nothing else) and passing progress bars."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from aista.console import MessageFormatter, escaped

__all__ = ["LABEL", "configure_logging", "passing_progress", "stage_bars", "terminal_handler"]

LABEL = TextColumn("{task.description}", markup=False)
"""The column of a bar's label, which is no markup: paths may hold brackets."""


def terminal_handler(console: Console | None = None) -> logging.Handler:
    """A handler for stderr: rich in a terminal (so that progress bars stay below), plain lines elsewhere."""
    if not sys.stderr.isatty():
        handler: logging.Handler = logging.StreamHandler()
        handler.setFormatter(MessageFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
        return handler
    handler = RichHandler(
        console=console or Console(stderr=True),
        show_path=False,
        show_level=False,
        log_time_format="%H:%M:%S",
        highlighter=NullHighlighter(),
    )
    handler.setFormatter(MessageFormatter("%(message)s"))
    return handler


def configure_logging() -> None:
    """Show aista's own messages on stderr; fairseq2 replaces this while it trains."""
    logging.getLogger().handlers[:] = [terminal_handler()]
    logging.getLogger("aista").setLevel(logging.INFO)


def passing_progress(*columns: str | ProgressColumn, console: Console | None = None) -> Progress:
    """A progress bar that is gone when its work is done, and that writes nothing where there is no terminal."""
    console = console or Console()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def stage_bars(console: Console | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """Yield ``progress(stage, done, total)``, which shows a passing progress bar per stage."""
    with passing_progress(LABEL, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console) as bars:
        by_stage: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in by_stage:
                by_stage[stage] = bars.add_task(escaped(stage), total=total)
            bars.update(by_stage[stage], completed=done, total=total)

        yield progress
