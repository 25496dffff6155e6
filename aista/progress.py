"""Progress bars that are gone when their work is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from aista.console import escaped

__all__ = ["LABEL", "passing_progress", "stage_bars"]

LABEL = TextColumn("{task.description}", markup=False)
"""The column of a bar's label, which is no markup: paths may hold brackets."""


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
