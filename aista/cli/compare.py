"""``aista compare BASELINE [RUN...]``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aista.cli.option_arguments import add_option_arguments, read_options
from aista.console import say
from aista.errors import AistaError
from aista.report.report_options import ComparisonOptions

if TYPE_CHECKING:
    from aista.report.groups import GroupRow
    from aista.report.summary import Summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "baseline",
        type=Path,
        metavar="BASELINE",
        help="evaluated run folder; RUN@LABEL names one of its evaluations, e.g. a cascade, in place of --split",
    )
    parser.add_argument(
        "runs",
        type=Path,
        nargs="*",
        metavar="RUN",
        help="evaluated run folders to compare with BASELINE; without one, only its scores are printed",
    )
    add_option_arguments(parser, ComparisonOptions)
    parser.add_argument(
        "--subset", type=Path, metavar="FILE", help="only these utterances: ids, or a TSV with a column id"
    )
    parser.add_argument(
        "--by", default="", metavar="COLUMN", help="also compare groups of utterances, by a column of the manifest"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write all numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Print scores, differences and p-values of paired bootstrap resampling, with signatures."""
    from functools import partial

    from aista.data.id_table import read_ids
    from aista.files import require_writable, write_json
    from aista.report.comparison_record import comparison_notes, comparison_record
    from aista.report.groups import group_rows, read_groups
    from aista.report.summary import summarise, summarise_one
    from aista.report.task_groups import TASK_COLUMN, read_task_groups
    from aista.run_folder.contents import RunFolder
    from aista.tasks.experiment import load_experiment
    from aista.tasks.preflight import build_direction_metrics

    options = read_options(args, ComparisonOptions)
    if args.out is not None:
        require_writable(args.out)
    only = None if args.subset is None else set(read_ids(args.subset))
    named = {str(path): _named(path) for path in (args.baseline, *args.runs)}
    folders = {label: RunFolder(path) for label, (path, _) in named.items()}
    splits = {label: split for label, (_, split) in named.items() if split}
    first = str(args.baseline)
    metrics = partial(build_direction_metrics, load_experiment(folders[first].paths.config_file))
    if args.runs:
        summary = summarise(folders, metrics, options, splits=splits, only=only)
    else:
        summary = summarise_one(first, folders[first], metrics, options, splits=splits, only=only)
    by_task = read_task_groups(folders, metrics, options, summary.test_set, splits=splits, only=only)
    groups = []
    if args.by:
        values = read_groups(summary.sources[first], args.by, [row.id for row in summary.rows])
        groups = group_rows(summary.hypotheses, summary.references, values, summary.metrics, options, summary.inputs)
    _print_tables(args, options, summary, {TASK_COLUMN: by_task.rows, args.by: groups})
    for line in (*comparison_notes(summary, folders, only), *by_task.notes):
        say(line)
    if args.out is not None:
        more = {"column": args.by, "groups": groups, "by_task": by_task.rows}
        record = comparison_record(summary, options, subset=args.subset, **more)
        write_json(args.out, record)
        say(f"written: {args.out}")
    return 0


def _print_tables(
    args: argparse.Namespace, options: ComparisonOptions, summary: Summary, groups: Mapping[str, Sequence[GroupRow]]
) -> None:
    """The headline, and a table for each column that has groups."""
    from aista.report.groups import group_table
    from aista.report.printed_tables import print_table
    from aista.report.tables import headline_table
    from aista.run_folder.run_names import RunNames
    from aista.terminal import result_console

    scored = " and ".join(dict.fromkeys(each.label for each in summary.test_set.evaluations.values()))
    title = f"Split {scored}" + (f": {summary.test_set.title}" if summary.test_set.title else "")
    title += f", {len(summary.rows)} utterances of {args.subset}" if args.subset else ""
    title += f", {options.samples} bootstrap samples" if args.runs else ""
    console = result_console()
    named = RunNames.of([system.name for system in summary.systems])
    names = {system.name: name for system, name in zip(summary.systems, named.names, strict=True)}
    print_table(console, headline_table([replace(row, name=names[row.name]) for row in summary.systems], title))
    for column, rows in groups.items():
        if rows:
            print_table(console, group_table([replace(row, system=names[row.system]) for row in rows], column))
    for note in named.notes:
        say(note)


def _named(path: Path) -> tuple[Path, str]:
    """A run folder and the label of its evaluation, from RUN@LABEL, or nothing from RUN."""
    folder, at, label = str(path).rpartition("@")
    if at and not label and not path.exists():
        raise AistaError(f"{path}: must name an evaluation after @, such as {folder}@test, got nothing; add its label")
    return (path, "") if path.exists() or not at else (Path(folder), label)
