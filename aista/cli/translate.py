"""``aista translate RUN AUDIO...``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aista.cli.arguments import add_run_arguments
from aista.console import escaped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("audio", type=Path, nargs="+", metavar="AUDIO", help="wav, flac, ogg or mp3 files")
    parser.add_argument("--beam-size", type=int, default=0, help="beams (default: the run's)")


def run(args: argparse.Namespace) -> int:
    """Print one line per file: its name, a tab, its translation."""
    from aista.engine.inference.translate import translate

    for file, text in translate(
        args.run,
        args.audio,
        which=args.checkpoint,
        beam_size=args.beam_size,
        device=args.device,
        base=dict(args.base),
        verify=args.verify,
    ):
        sys.stdout.write(f"{escaped(file)}\t{escaped(text)}\n")
    return 0
