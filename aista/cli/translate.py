"""``aista translate RUN AUDIO...``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aista.cli.arguments import Once, add_run_arguments, component, whole
from aista.cli.option_arguments import add_change_arguments, read_changes
from aista.console import escaped, say
from aista.data.row_tasks import TASKS, is_text_row
from aista.errors import AistaError
from aista.modules.llms.search import GenerationConfig

if TYPE_CHECKING:
    from aista.engine.inference.translate import Translation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument(
        "audio", nargs="+", metavar="AUDIO", help="recordings, folders of them, or - for a list on standard input"
    )
    parser.add_argument(
        "--task",
        choices=tuple(name for name in TASKS if not is_text_row(name)),
        default="",
        help="which of the run's data.tasks (default: the first)",
    )
    for side in ("source", "target"):
        parser.add_argument(
            f"--{side}-language",
            action=Once,
            metavar="CODE",
            default="",
            help="for prompts that contain it (default: the config's)",
        )
    add_change_arguments(parser, GenerationConfig)
    parser.add_argument(
        "--segment",
        metavar="SEGMENTER",
        type=component("segmenter"),
        default=None,
        help="how to cut long recordings: vad (at pauses), fixed (equal lengths), or none (default); with options "
        "'{name: vad, config: {max_seconds: 12}}'",
    )
    parser.add_argument(
        "--format", choices=("text", "json", "srt", "vtt", "tsv"), default="text", help="(default: text)"
    )
    parser.add_argument(
        "--n-best",
        type=whole(1),
        default=0,
        metavar="N",
        help="also list the N best texts of the search, with their scores; needs --format json",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="PATH", help="output file, or existing folder for one file per recording"
    )


def run(args: argparse.Namespace) -> int:
    """Write the translations; 1 if a file or a segment has none, which stderr explains."""
    from aista.data.recordings import find_recordings, read_names
    from aista.engine.export.load import load_plugins_for
    from aista.engine.inference.translate import Wanted, translate
    from aista.engine.inference.translation_files import Output
    from aista.registry import build
    from aista.terminal import configure_logging, long_progress

    if args.n_best and args.format != "json":
        raise AistaError(
            f"--n-best {args.n_best}: only json lists several texts, got --format {args.format}; add --format json"
        )
    configure_logging()
    load_plugins_for(args.run, args.plugin, verify=args.verify)
    given = [name for path in args.audio for name in (read_names(sys.stdin.buffer) if path == "-" else [path])]
    recordings, others = find_recordings(given)
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
        say(f"aista: {others.total()} files in folders are not recordings, by their names: {kinds}", sys.stderr)
    output = Output(recordings, args.format, args.output, timed=args.segment is not None)
    with long_progress(shown=args.output is not None or not sys.stdout.isatty()) as progress:
        problems: list[str] = []
        items = translate(
            args.run,
            [recording.file for recording in recordings],
            which=args.checkpoint,
            search=read_changes(args, GenerationConfig),
            device=args.device,
            base=dict(args.base),
            verify=args.verify,
            segmenter=None if args.segment is None else build("segmenter", args.segment, at="--segment"),
            n_best=args.n_best,
            wanted=Wanted(task=args.task, source_language=args.source_language, target_language=args.target_language),
            progress=progress,
        )
        output.write(_explained(items, problems))
    return int(bool(problems))


def _explained(items: Iterable[Translation], problems: list[str]) -> Iterator[Translation]:
    """Yield the same items; print and collect their problems."""
    for item in items:
        if item.problem:
            problems.append(item.problem)
            say(f"aista: {escaped(item.problem)}", sys.stderr)
        yield item
