"""``aista data tokenizer OUT.model --from MANIFEST``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.option_arguments import add_option_arguments, read_options
from aista.console import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from aista.corpora.tokenizer_training import TokenizerOptions

    parser.add_argument("out", type=Path, metavar="OUT", help="output file, e.g. data/mine/spm.model")
    parser.add_argument(
        "--from",
        type=Path,
        dest="manifests",
        nargs="+",
        required=True,
        metavar="MANIFEST",
        help="manifests with the training texts",
    )
    add_option_arguments(parser, TokenizerOptions)
    parser.add_argument(
        "--symbol",
        action="append",
        metavar="TEXT",
        help="a text kept as one token, for prompts; may be repeated (default: <fr> etc., from tgt_lang or src_lang)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")


def run(args: argparse.Namespace) -> int:
    """Train, and print the model's pieces."""
    from aista.corpora.tokenizer_training import TokenizerOptions, train_tokenizer

    options = read_options(args, TokenizerOptions)
    say(train_tokenizer(args.out, args.manifests, options, args.symbol, overwrite=args.overwrite))
    return 0
