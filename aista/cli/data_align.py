"""``aista data align MANIFEST OUT --encoder RUN``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.arguments import add_base_argument, add_model_arguments, add_plugin_argument, number, whole
from aista.console import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="manifest with transcripts (column src_text)")
    parser.add_argument("out", type=Path, metavar="OUT", help="manifest to write, with the column word_times filled")
    parser.add_argument(
        "--encoder",
        type=Path,
        required=True,
        metavar="RUN",
        help="run of the task ctc_asr, its export, or the Hugging Face folder or hub name of a CTC model",
    )
    add_model_arguments(parser)
    add_base_argument(parser)
    add_plugin_argument(parser)
    parser.add_argument(
        "--batch-size", type=whole(1), default=1, help="recordings encoded together (default: 1); raise it on a GPU"
    )
    parser.add_argument(
        "--min-confidence",
        type=number(0, 1),
        default=0.05,
        metavar="P",
        help="give no times to words whose tokens have a lower mean posterior (default: 0.05)",
    )
    parser.add_argument(
        "--shift",
        type=number(-1, 1),
        default=0.0,
        metavar="SECONDS",
        help="subtract this from all times: the model's delay, as --compare prints it (default: 0)",
    )
    parser.add_argument(
        "--existing",
        choices=("refuse", "keep", "replace"),
        default="refuse",
        help="what to do with rows that already have word times: stop (default), keep them, or align again",
    )
    parser.add_argument(
        "--max-seconds", type=number(0.1, 1e6), default=0.0, help="longest recording (default: the run's, or 30)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.add_argument(
        "--compare", type=Path, metavar="REFERENCE", help="manifest with word times to compare the new ones with"
    )


def run(args: argparse.Namespace) -> int:
    """Align, write the manifest, and print a summary of the rows."""
    from aista.terminal import configure_logging

    configure_logging()
    from aista.engine.export.load import load_plugins_for
    from aista.engine.inference.word_alignment import AlignmentOptions, align_manifest

    load_plugins_for(Path(args.encoder), args.plugin, verify=args.verify)
    names = ("batch_size", "min_confidence", "shift", "existing", "max_seconds", "overwrite", "compare")
    report = align_manifest(
        args.manifest,
        args.out,
        args.encoder,
        AlignmentOptions(**{name: getattr(args, name) for name in names}),
        which=args.checkpoint,
        device=args.device,
        base=dict(args.base),
        verify=args.verify,
    )
    say(report)
    return 0
