"""``aista init PROJECT``: a project to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.arguments import Once, whole
from aista.console import say
from aista.data.row_tasks import TASKS
from aista.errors import AistaError
from aista.scaffold import ProjectOptions, new_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", type=Path, metavar="PROJECT", help="folder to create")
    parser.add_argument(
        "--from",
        dest="config",
        metavar="CONFIG",
        help="copy this config, a file or a shipped one (see `aista configs`); default: a small model from scratch",
    )
    parser.add_argument("--data", type=Path, metavar="SOURCE", help="corpus for `aista data import`")
    parser.add_argument(
        "--task",
        dest="tasks",
        action="append",
        choices=tuple(TASKS),
        help="translate speech (st, the default), recognise it (asr), translate text as well (mt), or write the "
        "transcript and then the translation (cot); several times: one model of several tasks, the first is validated",
    )
    parser.add_argument(
        "--steps",
        type=whole(least=10),
        metavar="N",
        help="steps of joint training per task; each pretraining stage takes 1.5 N (default: 1000)",
    )
    parser.add_argument("--source-language", default="en", metavar="CODE", help="language of the speech (default: en)")
    parser.add_argument(
        "--target-language",
        action=Once,
        metavar="CODE",
        help="language of the translations (default: fr; none with --task asr alone; several: docs/multitask.md)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the files and print the next command."""
    from aista.shipped import find_config

    tasks = tuple(dict.fromkeys(args.tasks or ProjectOptions.tasks))
    if tasks == ("asr",) and args.target_language:
        raise AistaError(f"--target-language: --task asr has none, got {args.target_language}; leave it out")
    if tasks[0] == "mt":
        raise AistaError(
            "--task: must begin with a task of speech, got mt; give --task st before it, mt shares its model"
        )
    if args.config and args.steps:
        raise AistaError(f"--steps: --from {args.config} sets its own, got {args.steps}; edit them in experiment.yaml")
    target = args.target_language or ProjectOptions.target
    corpus = "" if args.data is None else str(args.data.resolve())
    options = ProjectOptions(args.source_language, target, corpus, tasks, args.steps or ProjectOptions.steps)
    config = None if args.config is None else find_config(args.config)
    files = new_project(args.project, options, config)
    say(f"{args.project}: {', '.join(map(str, files))}")
    say(f"  for completion and checks in your editor: make -C {args.project} schema")
    say(
        f"  edit {args.project / 'experiment.yaml'}, then: make -C {args.project}"
        + ("" if corpus else " SOURCE=FOLDER")
    )
    return 0
