"""``aista data NAME OUT [--from SOURCE] [key=value ...]`` and ``aista data check MANIFEST``; see ``data_*`` too."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.arguments import add_plugin_argument
from aista.console import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a dataset (see `aista list dataset`), or `check`")
    parser.add_argument("out", type=Path, metavar="OUT", help="output folder; with `check`, the manifest to check")
    parser.add_argument("--from", type=Path, dest="source", metavar="SOURCE", help="folder or file of the raw corpus")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="options (see `aista show dataset NAME`)")
    add_plugin_argument(parser)
    parser.epilog = "commands of their own, each with --help: aista data import, tokenizer, align, shar"


def run(args: argparse.Namespace) -> int:
    return _check(args) if args.name == "check" else _prepare(args)


def _prepare(args: argparse.Namespace) -> int:
    from aista import registry
    from aista.config import apply_overrides
    from aista.schema import Component, structure
    from aista.terminal import stage_bars

    registry.load_plugins(args.plugin)
    entry = registry.get("dataset", args.name)
    options = apply_overrides({}, args.overrides)
    config = structure(entry.config, options, source=f"aista data {args.name}") if entry.config else None
    dataset = registry.build("dataset", Component(args.name, config))
    with stage_bars() as progress:
        report = dataset.prepare(args.out, source=args.source, progress=progress)
    say(report)
    return 0


def _check(args: argparse.Namespace) -> int:
    from aista.config import apply_overrides
    from aista.data.data_config import DataConfig
    from aista.data.inspection import inspect
    from aista.data.manifest import read_manifest
    from aista.schema import structure

    config = structure(DataConfig, apply_overrides({}, args.overrides), source="aista data check")
    inspection = inspect(read_manifest(args.out), config)
    say(inspection.summary(examples=20))
    return 1 if inspection.problems else 0
