"""Terminal output by rich: log lines (time and message only) and transient progress bars."""

from __future__ import annotations

import logging
import sys
import time
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

from aista.console import escaped, escaped_lines

__all__ = [
    "LABEL",
    "LoggedProgress",
    "MessageFormatter",
    "configure_logging",
    "long_progress",
    "passing_progress",
    "result_console",
    "stage_bars",
    "terminal_handler",
]

log = logging.getLogger("aista.progress")

LABEL = TextColumn("{task.description}", markup=False)
"""The column of a bar's label, not parsed as markup: paths may hold brackets."""


WIDTH = 240
"""Width, in columns, of output that is not a terminal; a table uses only what it needs."""


class MessageFormatter(logging.Formatter):
    """Formats records for terminals and log files, each line ``escaped``."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped_lines(super().format(record))


def result_console() -> Console:
    """The console for tables of results: as wide as the terminal, or ``WIDTH`` where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


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
    """A progress bar that disappears at its end and writes nothing where there is no terminal."""
    console = console or Console()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def stage_bars(console: Console | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """Yield ``progress(stage, done, total)``, which shows a transient bar per stage; a total of 0 is unknown."""
    with passing_progress(LABEL, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console) as bars:
        by_stage: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in by_stage:
                by_stage[stage] = bars.add_task(escaped(stage), total=total or None)
            bars.update(by_stage[stage], completed=done, total=total or None)

        yield progress


@contextmanager
def long_progress(*, shown: bool = True) -> Iterator[Callable[[str, int, int], None]]:
    """Yield ``progress(stage, done, total)`` for work that may take hours: bars in a terminal, else lines of a log.

    Args:
        shown: Whether to show bars; False where results appear in the same terminal.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield LoggedProgress()
    elif not shown:
        yield lambda stage, done, total: None
    else:
        with stage_bars(console) as progress:
            yield progress


class LoggedProgress:
    """Logs the progress of a stage and its estimated time left: a line a minute, none for a stage that ends sooner.

    Args:
        every: Seconds between two lines.
        now: The clock, in seconds.
    """

    def __init__(self, every: float = 60.0, now: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._now = now
        self._begun = self._said = now()

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = self._now()
        if now - self._said < self._every:
            return
        self._said = now
        if total and done:
            minutes = (now - self._begun) * (total - done) / done / 60
            log.info("%s: %.0f %%, about %.0f min left", stage, 100 * done / total, minutes)
        else:
            log.info("%s: %d", stage, done)
