"""Command-line arguments that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from aista.convert import LARGEST
from aista.errors import AistaError, shown
from aista.schema import Component, resolve

__all__ = [
    "Once",
    "add_base_argument",
    "add_model_arguments",
    "add_plugin_argument",
    "add_run_arguments",
    "add_verify_argument",
    "component",
    "number",
    "pair",
    "whole",
]

NumberT = TypeVar("NumberT", int, float)


class Once(argparse.Action):
    """Stores a value and refuses a second one, which argparse would otherwise accept."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        given = getattr(namespace, self.dest)
        if given not in (self.default, values):
            raise argparse.ArgumentError(self, f"takes one value here, got {shown(given)} and {shown(values)}")
        setattr(namespace, self.dest, values)


def whole(least: int = -LARGEST, most: int = LARGEST) -> Callable[[str], int]:
    """The type of an argument that is a whole number within bounds."""
    bounds = f"from {least} to {most}" if most < LARGEST else f"of at least {least}"
    return _bounded(int, f"a whole number {bounds}", least, most)


def number(least: float, most: float) -> Callable[[str], float]:
    """The type of an argument that is a number within bounds."""
    return _bounded(float, f"a number from {least:g} to {most:g}", least, most)


def _bounded(kind: Callable[[str], NumberT], rule: str, least: NumberT, most: NumberT) -> Callable[[str], NumberT]:
    def parse(text: str) -> NumberT:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be {rule}, got {shown(text)}")
        return value

    return parse


def component(kind: str) -> Callable[[str], Component | None]:
    """The type of an argument that names a component as a config does; ``none`` gives None.

    It raises ConfigError for an unknown component or wrong options.
    """

    def parse(text: str) -> Component | None:
        from aista.strict_yaml import parse_value

        if text == "none":
            return None
        try:
            data = parse_value(text)
        except ValueError as error:
            rule = f"a {kind}'s name, or {{name: ..., config: {{...}}}}"
            raise argparse.ArgumentTypeError(f"must be {rule}, got {shown(text)}: {error}") from None
        return resolve(kind, data, at=kind, source="command line")

    return parse


def add_plugin_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--plugin FILE``, which may be given several times."""
    parser.add_argument(
        "--plugin", metavar="FILE", action="append", default=[], help="load a Python file with components of your own"
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the commands that load a trained run."""
    parser.add_argument("--checkpoint", default="best", help="best, last, or a step number (default: best)")
    parser.add_argument("--device", default="", help="cpu or cuda (default: the GPU if there is one)")
    add_verify_argument(parser)


def add_verify_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--no-verify``: saves the time to compare checksums, about a second per GB."""
    parser.add_argument(
        "--no-verify",
        dest="verify",
        action="store_false",
        help="do not verify checksums of weights and states (saves about a second per GB)",
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add RUN, a trained or exported folder, and the options of loading its model."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a trained run or an export")
    add_model_arguments(parser)
    add_base_argument(parser)
    add_plugin_argument(parser)


def add_base_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--base PART=FOLDER``, or a name on the hub; it may be given several times."""
    parser.add_argument(
        "--base",
        metavar="PART=FOLDER",
        type=_base,
        action="append",
        default=[],
        help="for a --trainable-only export: base weights of a part (encoder or llm), a folder or a name on the hub",
    )


def pair(form: str) -> Callable[[str], tuple[str, str]]:
    """The type of an argument ``KEY=VALUE``, whose value may be empty; ``form`` shows it."""

    def parse(text: str) -> tuple[str, str]:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise argparse.ArgumentTypeError(f"must be {form}, got {shown(text)}")
        return key, value

    return parse


def _base(text: str) -> tuple[str, Path]:
    part, equals, folder = text.partition("=")
    if not equals or not Path(folder).exists():
        raise AistaError(f"--base must be PART=FOLDER with an existing folder, e.g. llm=models/qwen, got {text!r}")
    return part, Path(folder)
