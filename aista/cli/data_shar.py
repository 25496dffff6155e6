"""``aista data shar MANIFEST OUT``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.arguments import whole
from aista.console import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="manifest to convert")
    parser.add_argument("out", type=Path, metavar="OUT", help="output folder")
    parser.add_argument("--shard-rows", type=whole(1), default=1000, metavar="N", help="rows per shard (default: 1000)")
    parser.add_argument(
        "--rows",
        type=whole(1),
        default=0,
        metavar="N",
        help="convert only N rows, chosen as by data.train_rows (default: all)",
    )
    parser.add_argument(
        "--audio",
        choices=("original", "flac"),
        default="original",
        help="copy the audio files unchanged (default), or encode them as FLAC",
    )
    parser.add_argument(
        "--on-bad-rows",
        choices=("error", "drop"),
        default="error",
        help="stop at an unreadable recording (default), or leave it out and list it",
    )


def run(args: argparse.Namespace) -> int:
    """Convert, and print the rows written and left out."""
    from functools import partial

    from aista.data.streams.shar_writer import write_shar
    from aista.data.subset import read_first_rows
    from aista.terminal import stage_bars

    with stage_bars() as progress:
        report = write_shar(
            read_first_rows(args.manifest, args.rows),
            args.out,
            shard_rows=args.shard_rows,
            audio=args.audio,
            on_bad_rows=args.on_bad_rows,
            progress=partial(progress, f"writing {args.out}"),
        )
    say(report.summary(args.out))
    return 0
