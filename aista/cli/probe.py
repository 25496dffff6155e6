"""``aista probe RUN``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aista.cli._options import add_model_arguments

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("run", type=Path, metavar="RUN", help="trained run folder")
    parser.add_argument("--split", default="dev", help="dev, test, or the path of a manifest (default: dev)")
    parser.add_argument("--size", type=int, default=500, help="most utterances, each a query and a candidate")
    parser.add_argument("--name", default="", help="name of the files in RUN/probe (default: SPLIT_step_N)")
    parser.add_argument("--utterance", default="", help="id of the utterance whose transport plan is drawn")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compute the curve, print it, and draw it with one utterance's transport plan."""
    from aista.cli._logging import configure_logging

    configure_logging()
    from rich.console import Console

    from aista.analysis.figure import save_png
    from aista.analysis.plots import layer_curves, transport_plan
    from aista.analysis.run_folder import RunFolder
    from aista.analysis.tables import retrieval_table, to_rich
    from aista.engine.probe import probe

    name, curve = probe(
        args.run,
        args.split,
        which=args.checkpoint,
        size=args.size,
        name=args.name,
        utterance=args.utterance,
        device=args.device,
    )
    folder = RunFolder(args.run)
    selection = folder.selection()
    console = Console()
    console.print(to_rich(retrieval_table({name: curve})))
    console.print(to_rich(retrieval_table({name: curve}, "recall@1")))
    figures = {
        f"{name}.png": layer_curves({name: curve}, selected=selection.layers if selection else ()),
        f"{name}_plan.png": transport_plan(folder.plan(name)),
    }
    for file, figure in figures.items():
        save_png(figure, args.run / "probe" / file)
        print(args.run / "probe" / file)
    return 0
