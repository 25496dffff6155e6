"""The ``aista`` command: finds the verb, runs its module, turns errors into messages and exit codes.

A verb's module ``aista.cli.<verb>`` (of ``aista data align``: ``aista.cli.data_align``) offers
``add_arguments(parser)`` and ``run(args) -> int`` and is imported only when its verb is chosen, so that
``aista --help`` loads no torch.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from aista import __version__, extras, registry
from aista.cli.verbs import SUB_VERBS, VERBS
from aista.console import say
from aista.errors import AistaError, ConfigError, RunError
from aista.files import explain
from aista.interrupts import Terminated, end_with_parent, sigterm_raised
from aista.plugin_faults import blame, place_of

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
    except AistaError as error:
        _complain(error, error)
        return error.exit_code
    except Terminated as end:
        say("aista: terminated (SIGTERM)", sys.stderr)
        return end.exit_code
    except KeyboardInterrupt:
        say("aista: interrupted", sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, e.g. head, has gone
        return 141
    except OSError as error:
        return _refused(error)
    except MemoryError as error:
        say(f"aista: out of memory: {error}; end other programs, or ask for less at a time", sys.stderr)
        return RunError.exit_code
    except Exception as error:
        if isinstance(error, UnicodeEncodeError) or (isinstance(error, ValueError) and "embedded null" in str(error)):
            return _refused(error)  # Python's own, of names that no system takes
        fault = blame(error)
        if fault is None and isinstance(error, ModuleNotFoundError) and error.name in extras.MODULES:
            say(f"aista {arguments[0]} {extras.explain(error)}", sys.stderr)
            return AistaError.exit_code
        if fault is None:
            raise  # a bug
        _complain(fault, error)
        return fault.exit_code


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
        say(f"aista: unknown command {verb!r}{registry.nearest(verb, VERBS)}; see aista --help", sys.stderr)
        return 2
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
        raise AistaError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, VERBS))
    verbs = "".join(f"  {verb:{width}}  {summary}\n" for verb, summary in VERBS.items())
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


if __name__ == "__main__":
    sys.exit(main())
