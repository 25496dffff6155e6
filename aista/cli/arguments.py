"""Command-line arguments that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.errors import AistaError

__all__ = ["add_base_argument", "add_model_arguments", "add_plugin_argument", "base_weights"]


def add_plugin_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--plugin FILE``, which may be given several times."""
    parser.add_argument(
        "--plugin", metavar="FILE", action="append", default=[], help="load a Python file with components of your own"
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the commands that load a trained run."""
    parser.add_argument("--checkpoint", default="best", help="best, last, or a step number (default: best)")
    parser.add_argument("--device", default="", help="cpu or cuda (default: the GPU if there is one)")


def add_base_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--base PART=FOLDER``, which may be given several times."""
    parser.add_argument(
        "--base",
        metavar="PART=FOLDER",
        action="append",
        default=[],
        help="base weights of a part (encoder, llm), for what `aista export --trainable-only` wrote",
    )


def base_weights(args: argparse.Namespace) -> dict[str, Path]:
    """The folders given by ``--base``.

    Raises:
        AistaError: one is not of the form PART=FOLDER, or its folder does not exist.
    """
    folders = {}
    for text in args.base:
        part, equals, folder = text.partition("=")
        if not equals or not Path(folder).exists():
            raise AistaError(f"--base must be PART=FOLDER with an existing folder, e.g. llm=models/qwen, got {text!r}")
        folders[part] = Path(folder)
    return folders
