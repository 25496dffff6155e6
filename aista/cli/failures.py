"""What a command says of the error that ends it, and with which exit code."""

from __future__ import annotations

import sys
import traceback

from aista import extras
from aista.console import say
from aista.errors import AistaError, ConfigError, RunError
from aista.files import explain
from aista.interrupts import Terminated
from aista.plugin_faults import blame, place_of

__all__ = ["exit_code"]


def exit_code(error: Exception | KeyboardInterrupt, arguments: list[str]) -> int | None:
    """Say what went wrong, and return the exit code; None, with nothing said, of a bug.

    Args:
        error: What ended the command.
        arguments: The command.
    """
    if isinstance(error, KeyboardInterrupt):
        is_terminated = isinstance(error, Terminated)
        say("aista: terminated (SIGTERM)" if is_terminated else "aista: interrupted", sys.stderr)
        return Terminated.exit_code if is_terminated else 130
    if isinstance(error, BrokenPipeError):  # the reader of our output, e.g. head, has gone
        return 141
    if isinstance(error, MemoryError):
        say(f"aista: out of memory: {error}; end other programs, or ask for less at a time", sys.stderr)
        return RunError.exit_code
    if isinstance(error, (OSError, UnicodeEncodeError)) or (
        isinstance(error, ValueError) and "embedded null" in str(error)
    ):
        return _refused(error)  # the last two are Python's own, of names that no system takes
    fault = error if isinstance(error, AistaError) else blame(error)
    if fault is not None:
        _complain(fault, error)
        return fault.exit_code
    if isinstance(error, ModuleNotFoundError) and error.name in extras.MODULES:
        say(f"aista {arguments[0]} {extras.explain(error)}", sys.stderr)
        return AistaError.exit_code
    return None


def _refused(error: OSError | ValueError) -> int:
    place = place_of(error)
    say(f"aista: {explain(error)}{f' (plug-in {place})' if place else ''}", sys.stderr)
    return RunError.exit_code


def _complain(error: AistaError, raised: Exception) -> None:
    if sys.flags.dev_mode:
        traceback.print_exception(raised)
    if not isinstance(error, ConfigError):
        say(f"aista: {error}", sys.stderr)
        return
    for fault in error.faults:
        is_file_line = fault.path == error.source or fault.path.startswith(f"{error.source}:")
        place = "" if is_file_line else f"{error.source}: "
        say(f"{place}{fault}", sys.stderr)
