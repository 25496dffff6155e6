"""``aista compare BASELINE [RUN...]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli.option_arguments import add_option_arguments, read_options
from aista.console import say
from aista.errors import AistaError
from aista.report.report_options import ComparisonOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "baseline",
        type=Path,
        metavar="BASELINE",
        help="evaluated run folder; RUN@LABEL names another evaluation of it than --split, e.g. a cascade",
    )
    parser.add_argument(
        "runs", type=Path, nargs="*", metavar="RUN", help="evaluated run folders to compare with it; none: its scores"
    )
    add_option_arguments(parser, ComparisonOptions)
    parser.add_argument(
        "--subset", type=Path, metavar="FILE", help="only these utterances: ids, or a TSV with a column id"
    )
    parser.add_argument(
        "--by", default="", metavar="COLUMN", help="also compare groups of utterances, by a column of the manifest"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all numbers as JSON too")


def run(args: argparse.Namespace) -> int:
    """Print scores, differences and p-values of paired bootstrap resampling, with signatures."""
    from rich.console import Console

    from aista.data.id_table import read_ids
    from aista.files import require_writable, write_json
    from aista.report.comparison_record import comparison_notes, comparison_record
    from aista.report.groups import group_rows, group_table, read_groups
    from aista.report.summary import summarise, summarise_one
    from aista.report.tables import headline_table, to_rich
    from aista.run_folder.contents import RunFolder
    from aista.tasks.experiment import load_experiment
    from aista.tasks.preflight import build_metrics

    options = read_options(args, ComparisonOptions)
    if args.out is not None:
        require_writable(args.out)
    only = None if args.subset is None else set(read_ids(args.subset))
    named = {str(path): _named(path, options.split) for path in (args.baseline, *args.runs)}
    folders = {label: RunFolder(path) for label, (path, _) in named.items()}
    splits = {label: split for label, (_, split) in named.items()}
    first = str(args.baseline)
    metrics = build_metrics(load_experiment(folders[first].paths.config_file))
    if args.runs:
        summary = summarise(folders, metrics, options, splits=splits, only=only)
    else:
        summary = summarise_one(first, folders[first], metrics, splits[first], only=only)
    console, kept = Console(), f", {len(summary.rows)} utterances of {args.subset}" if args.subset else ""
    bootstrap = f", {options.samples} bootstrap samples" if args.runs else ""
    scored = " and ".join(dict.fromkeys(splits.values()))
    console.print(to_rich(headline_table(summary.systems, f"Split {scored}{kept}{bootstrap}")))
    groups = []
    if args.by:
        values = read_groups(summary.sources[first], args.by, [row.id for row in summary.rows])
        references = [row.reference for row in summary.rows]
        groups = group_rows(summary.hypotheses, references, values, metrics, options, summary.inputs)
        console.print(to_rich(group_table(groups, args.by)))
    for line in comparison_notes(summary, metrics, folders, only):
        say(line)
    if args.out is not None:
        record = comparison_record(summary, metrics, options, subset=args.subset, column=args.by, groups=groups)
        write_json(args.out, record)
        say(f"written: {args.out}")
    return 0


def _named(path: Path, split: str) -> tuple[Path, str]:
    """A run folder and the label of its evaluation, from RUN or RUN@LABEL."""
    folder, at, label = str(path).rpartition("@")
    if at and not label and not path.exists():
        raise AistaError(f"{path}: must name an evaluation behind @, such as {folder}@test, got nothing; add its label")
    return (path, split) if path.exists() or not at else (Path(folder), label)
