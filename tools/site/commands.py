"""The reference of the command line: the --help output of each command."""

from __future__ import annotations

import contextlib
import io
import os

from aista.cli.main import main
from aista.cli.verbs import SUB_VERBS, VERBS

__all__ = ["command_help", "commands_page"]

_WIDTH = "80"


def command_help(*command: str) -> str:
    """The output of ``aista COMMAND --help``, at a fixed width."""
    output, before = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDTH
    try:
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            main([*command, "--help"])
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return output.getvalue().rstrip()


def commands_page() -> str:
    """A page with the help of all commands; those of two words follow their first."""
    order = [command for verb in VERBS for command in (verb, *(two for two in SUB_VERBS if two.split()[0] == verb))]
    lines = ["# Command line", "", "`aista COMMAND --help` prints these texts.", ""]
    for command in order:
        lines += [f"## aista {command}", "", "```text", command_help(*command.split()), "```", ""]
    return "\n".join(lines)
