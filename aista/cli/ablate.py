"""``aista ablate FILE [--out DIR] [--jobs N] [--dry-run] [--slurm [key=value ...]]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aista.cli.arguments import whole
from aista.console import say
from aista.shipped import find_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=find_config, metavar="FILE", help="ablation file (docs/ablation.md), or the name of a shipped one"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for runs and tables (default: runs/ablations/FILE)"
    )
    parser.add_argument(
        "--jobs",
        type=whole(1),
        metavar="N",
        help="number of parallel runs, which take the visible GPUs in turn (default: one for each GPU, or for each CPU "
        "core without any)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the runs and what is left to do; write nothing")
    parser.add_argument(
        "--slurm",
        nargs="*",
        metavar="key=value",
        help="run on a Slurm cluster with these submitit parameters, e.g. timeout_min=600 slurm_partition=gpu",
    )


def run(args: argparse.Namespace) -> int:
    """Plan, train, evaluate, compare; returns 1 if a run failed."""
    from aista.config import apply_overrides
    from aista.runs.ablation.plan import load_ablation
    from aista.runs.ablation.sweep import Sweep
    from aista.runs.devices import visible_gpus
    from aista.runs.jobs import default_parallel

    out = args.out or Path("runs/ablations") / args.file.stem
    cluster = None if args.slurm is None else apply_overrides({}, args.slurm)
    num_jobs, num_gpus = args.jobs or default_parallel(), len(visible_gpus())
    if cluster is None and 0 < num_gpus < num_jobs:
        say(
            f"--jobs {num_jobs}: runs share the visible GPUs, {num_gpus} in number, and their memory; "
            f"--jobs {num_gpus} gives each run a GPU of its own",
            sys.stderr,
        )
    sweep = Sweep(load_ablation(args.file, out), out, num_jobs=num_jobs, cluster=cluster)
    if args.dry_run:
        sweep.show_plan()
        sweep.check()
        return 0
    return 0 if sweep.run() else 1
