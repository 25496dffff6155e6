"""``aista data import OUT --from SOURCE``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.arguments import add_plugin_argument, pair
from aista.console import say
from aista.errors import AistaError, shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make: train.tsv, dev.tsv, test.tsv, a report")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="options (see `aista show source NAME`)")
    parser.add_argument(
        "--from",
        dest="sources",
        action="append",
        required=True,
        metavar="[SPLIT=]SOURCE",
        help="a file, a folder, or a dataset on the hub of Hugging Face; may be given several times",
    )
    parser.add_argument(
        "--format",
        default="",
        metavar="NAME",
        help="its layout or corpus (see `aista list source`; default: recognised)",
    )
    parser.add_argument(
        "--column",
        type=pair("NAME=COLUMN"),
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="take a manifest's column from the source's COLUMN, e.g. src_text=transcript; src_text= takes none",
    )
    parser.add_argument(
        "--split",
        type=_share,
        nargs="+",
        metavar="NAME=SHARE",
        help="what to take out of train; default: dev=0.05 test=0.05 where the source has no splits; none: nothing",
    )
    parser.add_argument(
        "--source-language",
        default="",
        metavar="CODE",
        help="of the speech: where the source says none, and to choose among several",
    )
    parser.add_argument(
        "--target-language",
        action="append",
        default=[],
        metavar="CODE",
        help="of the translations, likewise; given several times, each row is imported for each, its id ending with it",
    )
    parser.add_argument("--overwrite", action="store_true", help="import anew into a folder with a finished import")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Import, and print what became of the rows."""
    from aista import registry
    from aista.corpora.imports.importer import import_corpus
    from aista.corpora.imports.source_rows import ImportOptions
    from aista.terminal import configure_logging, stage_bars

    configure_logging()
    registry.load_plugins(args.plugin)
    options = ImportOptions(
        layout=args.format,
        overrides=tuple(args.overrides),
        columns=dict(args.column),
        shares=None if args.split is None else dict(filter(None, args.split)),
        source_language=args.source_language,
        target_languages=tuple(dict.fromkeys(args.target_language)),
        overwrite=args.overwrite,
    )
    with stage_bars() as progress:
        report = import_corpus(args.out, args.sources, options, progress)
    say(report)
    return 0


def _share(text: str) -> tuple[str, float] | None:
    name, _, share = text.partition("=")
    if text == "none":
        return None
    try:
        if name.isidentifier() and name != "train" and 0 < float(share) < 1:
            return name, float(share)
    except ValueError:
        pass
    raise AistaError(
        f"--split: must be NAME=SHARE with a share between 0 and 1, e.g. dev=0.05, or none; got {shown(text)}"
    )
