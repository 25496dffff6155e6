"""The reason of a failed training: reads and writes ``failure.json``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aista.errors import AistaError, ConfigError
from aista.run_folder.parsing import parsing, read_object, write_object
from aista.run_folder.paths import RunPaths

__all__ = ["failure_noted", "failure_text", "read_failure"]


@contextmanager
def failure_noted(run: RunPaths) -> Iterator[None]:
    """Record an error that ends the block, and remove that of an earlier try; only in run folders.

    An interrupt is not a failure.
    """
    run.failure_file.unlink(missing_ok=True)
    try:
        yield
    except Exception as error:
        if run.is_run:
            write_object(run.failure_file, {"error": failure_text(error)})
        raise


def failure_text(error: Exception) -> str:
    """An error on one line, beginning with its type unless it is one of aista's own."""
    if isinstance(error, ConfigError):
        return str(error.faults[0])
    lines = str(error).splitlines() or [""]
    return lines[0] if isinstance(error, AistaError) else f"{type(error).__name__}: {lines[0]}"


def read_failure(run: RunPaths) -> str:
    """The recorded error; empty if there is none."""
    if not run.failure_file.exists():
        return ""
    data = read_object(run.failure_file, "")
    with parsing(run.failure_file):
        return str(data["error"])
