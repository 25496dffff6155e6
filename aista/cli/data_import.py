"""``aista data import OUT --from SOURCE``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.arguments import add_plugin_argument, pair
from aista.console import say
from aista.errors import AistaError, shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="output folder, for the manifests and a report")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="options (see `aista show source NAME`)")
    parser.add_argument(
        "--from",
        dest="sources",
        action="append",
        required=True,
        metavar="[SPLIT=]SOURCE",
        help="a file, a folder, or a dataset on the Hugging Face hub; may be given several times",
    )
    parser.add_argument(
        "--format",
        default="",
        metavar="NAME",
        help="layout or corpus of the source (see `aista list source`; default: detected)",
    )
    parser.add_argument(
        "--column",
        type=pair("NAME=COLUMN"),
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="fill the manifest's column NAME from COLUMN, e.g. src_text=transcript; src_text= leaves it empty",
    )
    parser.add_argument(
        "--split",
        type=_share,
        nargs="+",
        metavar="NAME=SHARE",
        help="fractions of train to split off; default: dev=0.05 test=0.05 if the source has no splits; none: no split",
    )
    parser.add_argument(
        "--source-language",
        default="",
        metavar="CODE",
        help="language of the speech, if the source does not state it or has several",
    )
    parser.add_argument(
        "--target-language",
        action="append",
        default=[],
        metavar="CODE",
        help="language of the translations, likewise; if repeated, rows are imported for each, their ids ending in it",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a finished import in OUT")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Import, and print a summary of the rows."""
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
