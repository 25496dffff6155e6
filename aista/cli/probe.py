"""``aista probe RUN``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli._options import add_model_arguments
from aista.errors import AistaError

__all__ = ["add_arguments", "run"]

MOST_COLUMNS = 9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("run", type=Path, metavar="RUN", help="trained run folder")
    parser.add_argument("--split", default="dev", help="dev, test, or the path of a manifest (default: dev)")
    parser.add_argument("--size", type=int, default=500, help="most utterances, each a query and a candidate")
    parser.add_argument("--name", default="", help="name of the files in RUN/probe (default: SPLIT_step_N)")
    parser.add_argument(
        "--all-checkpoints", action="store_true", help="every checkpoint of the run instead of one: how the curves move"
    )
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples of the intervals; 0: none")
    parser.add_argument("--utterance", default="", help="id of the utterance whose transport plan is drawn")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compute the curve, print it, and draw it with one utterance's transport plan."""
    from aista.console import configure_logging

    configure_logging()
    for option, value, least in (("--size", args.size, 2), ("--resamples", args.resamples, 0)):
        if value < least:
            raise AistaError(f"{option}: must be at least {least}, got {value}")
    if args.all_checkpoints and (args.utterance or args.checkpoint != "best"):
        raise AistaError("--all-checkpoints: takes no --checkpoint and no --utterance; it probes all and draws no plan")
    return _over_time(args) if args.all_checkpoints else _one(args)


def _one(args: argparse.Namespace) -> int:
    """One checkpoint: curves, measures, and a transport plan."""
    from rich.console import Console

    from aista.engine.inference.probe import probe
    from aista.files import write_text
    from aista.report.figure import save_png
    from aista.report.measures import agreement_table, geometry_table, measure_curves, measures_csv
    from aista.report.plots import layer_curves, transport_plan
    from aista.report.tables import retrieval_table, to_rich
    from aista.run_folder.contents import RunFolder

    name, curve = probe(
        args.run,
        args.split,
        which=args.checkpoint,
        size=args.size,
        name=args.name,
        utterance=args.utterance,
        device=args.device,
        resamples=args.resamples,
    )
    folder = RunFolder(args.run)
    selection = folder.selection()
    console = Console()
    if len(curve.layers) <= MOST_COLUMNS:  # a line per layer follows; a column each fits no terminal beyond
        console.print(to_rich(retrieval_table({name: curve})))
        console.print(to_rich(retrieval_table({name: curve}, "recall@1")))
    console.print(to_rich(agreement_table(curve)))
    console.print(to_rich(geometry_table(curve)))
    table, picture = folder.paths.probe_table_file(name), folder.paths.probe_picture_file
    write_text(table, measures_csv({folder.probe(name).step: curve}))
    print(table)
    figures = {
        picture(name): layer_curves({name: curve}, selected=selection.layers if selection else ()),
        picture(name, "measures"): measure_curves(curve),
        picture(name, "plan"): transport_plan(folder.plan(name)),
    }
    for file, figure in figures.items():
        save_png(figure, file)
        print(file)
    return 0


def _over_time(args: argparse.Namespace) -> int:
    """Every checkpoint: a table per measure, one CSV, one figure."""
    from rich.console import Console

    from aista.engine.inference.probe import probe_checkpoints
    from aista.files import write_text
    from aista.report.figure import save_png
    from aista.report.measures import OVER_TIME, checkpoint_curves, checkpoint_table, measures_csv
    from aista.report.tables import to_rich
    from aista.run_folder.paths import RunPaths

    curves = probe_checkpoints(args.run, args.split, size=args.size, device=args.device, resamples=args.resamples)
    console = Console()
    for measure in OVER_TIME:
        console.print(to_rich(checkpoint_table(curves, measure)))
    name = args.name or f"{Path(args.split).stem}_checkpoints"
    table, picture = RunPaths(args.run).probe_table_file(name), RunPaths(args.run).probe_picture_file(name)
    write_text(table, measures_csv(curves))
    save_png(checkpoint_curves(curves), picture)
    print(table)
    print(picture)
    return 0
