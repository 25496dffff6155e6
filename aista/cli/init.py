"""``aista init PROJECT``: a project to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.arguments import Once
from aista.console import say
from aista.errors import AistaError
from aista.scaffold import ProjectOptions, new_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", type=Path, metavar="PROJECT", help="folder to make")
    parser.add_argument(
        "--from",
        dest="config",
        metavar="CONFIG",
        help="copy this config, a file or a shipped one (see `aista configs`); default: a small model from scratch",
    )
    parser.add_argument("--data", type=Path, metavar="SOURCE", help="the corpus that `aista data import` will read")
    parser.add_argument(
        "--task", choices=("st", "asr"), default="st", help="translate speech, or recognise it (default: st)"
    )
    parser.add_argument("--source-language", default="en", metavar="CODE", help="of the speech (default: en)")
    parser.add_argument(
        "--target-language",
        action=Once,
        metavar="CODE",
        help="of the translations (default: fr; none with --task asr; several: docs/multitask.md)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the files and say what to run."""
    from aista.shipped import find_config

    if args.task == "asr" and args.target_language:
        raise AistaError(f"--target-language: --task asr has none, got {args.target_language}; leave it out")
    target = args.target_language or ProjectOptions.target
    corpus = "" if args.data is None else str(args.data.resolve())
    options = ProjectOptions(args.source_language, target, corpus, args.task)
    files = new_project(args.project, options, None if args.config is None else find_config(args.config))
    say(f"{args.project}: {', '.join(map(str, files))}")
    say(
        f"  edit {args.project / 'experiment.yaml'}, then: make -C {args.project}"
        + ("" if corpus else " SOURCE=FOLDER")
    )
    return 0
