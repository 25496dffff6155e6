"""``aista translate RUN AUDIO...``."""

from __future__ import annotations

import argparse
import sys

from aista.cli.arguments import add_run_arguments, whole
from aista.console import escaped, say
from aista.scoring.hypotheses import escape_cell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("audio", nargs="+", metavar="AUDIO", help="wav, flac, ogg or mp3 files")
    parser.add_argument("--beam-size", type=whole(1, 1_000), default=0, help="beams (default: the run's)")


def run(args: argparse.Namespace) -> int:
    """Print one line per file: its name, a tab, its translation; 1 if a file has none, which stderr explains."""
    from aista.engine.inference.translate import translate

    failed = False
    for item in translate(
        args.run,
        args.audio,
        which=args.checkpoint,
        beam_size=args.beam_size,
        device=args.device,
        base=dict(args.base),
        verify=args.verify,
    ):
        if item.text is None:
            failed = True
            say(f"aista: {escaped(item.problem)}", sys.stderr)
        else:
            sys.stdout.write("\t".join(escaped(escape_cell(cell)) for cell in (item.file, item.text)) + "\n")
            sys.stdout.flush()
    return int(failed)
