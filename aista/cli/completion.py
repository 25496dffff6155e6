"""``aista completion SHELL``: a script with which a shell completes commands, options and files of aista."""

from __future__ import annotations

import argparse
import importlib

from aista.cli.verbs import SUB_VERBS, VERBS
from aista.console import say

__all__ = ["complete", "parser_for"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "shell",
        choices=("bash", "zsh", "fish"),
        help='for ~/.bashrc: eval "$(aista completion bash)", likewise with zsh; fish: aista completion fish | source',
    )


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from argcomplete.shell_integration import shellcode

    say(shellcode(["aista"], shell=args.shell))
    return 0


def complete(line: str) -> None:
    """Print completions of a command line for the shell, and exit. Called where the shell's variables are set."""
    import argcomplete

    argcomplete.autocomplete(parser_for(line.split()[1:]))


def parser_for(words: list[str]) -> argparse.ArgumentParser:
    """A parser of all commands, with options only of the command in ``words``; others are not imported."""
    verb = words[0] if words else ""
    sub_verb = " ".join(words[:2])
    parser = argparse.ArgumentParser(prog="aista")
    commands = parser.add_subparsers()
    for name, summary in VERBS.items():
        command = commands.add_parser(name, help=summary)
        if name != verb:
            continue
        if sub_verb in SUB_VERBS:
            command = command.add_subparsers().add_parser(words[1], help=SUB_VERBS[sub_verb])
            name = sub_verb
        importlib.import_module(f"aista.cli.{name.replace(' ', '_')}").add_arguments(command)
    return parser
