"""The ``aista`` command: finds the verb, runs its module, turns errors into messages and exit codes.

The module of a verb, ``aista.cli.<verb>`` (``aista.cli.data_align`` for ``aista data align``), has
``add_arguments(parser)`` and ``run(args) -> int`` and is imported only when its verb is used. ``aista --help``
imports only what it needs to print.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from aista import __version__
from aista.cli.verbs import SUB_VERBS, VERBS
from aista.console import hanging, say
from aista.interrupts import end_with_parent, sigterm_raised

__all__ = ["main"]

_EXAMPLES = """examples:
  aista quickstart
  aista train runs/mboshi --config mboshi_fr trainer.max_steps=500
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 a run failed, 2 the user's mistake, 130 or 143 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # oneDNN keeps a kernel for each of the last 1,024 shapes, about a megabyte each, and ragged batches never repeat
    # one. It reads this before its first kernel; the processes that a command starts inherit it.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where its encoding lacks a letter of a text
    try:
        try:
            with sigterm_raised():
                end_with_parent()
                return _run(arguments)
        finally:
            _flush()  # here, where a closed pipe or a full disk can still be handled
    except (Exception, KeyboardInterrupt) as error:
        from aista.cli.failures import exit_code

        code = exit_code(error, arguments)
        if code is None:
            raise
        return code


def _run(arguments: list[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may follow; see aista.cli.completion
        from aista.cli.completion import complete

        complete(os.environ.get("COMP_LINE", ""))
    parser = _parser()
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if not verb:
        parser.print_help(sys.stderr)
        return 2
    if verb.startswith("-"):
        parser.parse_args(arguments)  # --help and --version exit here, anything else is an error
    if verb not in VERBS:
        from aista.registry import nearest

        say(f"aista: unknown command {verb!r}{nearest(verb, VERBS)}; see aista --help", sys.stderr)
        return 2
    importlib.import_module("aista.cli.failures")  # now, since what fails may be that no more files can be opened
    sub_verb = " ".join(arguments[:2])
    if sub_verb in SUB_VERBS:
        verb, rest = sub_verb, arguments[2:]
    module = importlib.import_module(f"aista.cli.{verb.replace(' ', '_')}")
    parser = _Parser(prog=f"aista {verb}", description={**VERBS, **SUB_VERBS}[verb])
    module.add_arguments(parser)
    code: int = module.run(parser.parse_intermixed_args(rest))
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        from aista.errors import AistaError

        raise AistaError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, VERBS))
    verbs = "".join(hanging(f"  {verb:{width}}  {summary}", width + 4) + "\n" for verb, summary in VERBS.items())
    parser = _Parser(
        prog="aista",
        usage="aista COMMAND ...",
        description="Adaptive inner speech-text alignment for LLM-based speech translation.",
        epilog=f"commands (aista COMMAND --help says more):\n{verbs}\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"aista {__version__}")
    return parser


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else it is tried again at the exit
        error.filename = "standard output"
        raise


if __name__ == "__main__":
    sys.exit(main())
