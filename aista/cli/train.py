"""``aista train RUN --config FILE [key=value ...]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aista.cli.arguments import add_verify_argument, number, whole
from aista.console import say
from aista.shipped import find_config

if TYPE_CHECKING:
    from aista.tasks.experiment import Experiment

COST_OPTIONS = ("assume", "processes", "device", "utilization", "fit", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help="run folder; a stopped run is resumed, a finished one continues with a larger trainer.max_steps=N",
    )
    parser.add_argument("--config", type=find_config, help="YAML file or shipped config (default: RUN's config)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of config options")
    parser.add_argument("--dump-config", action="store_true", help="print the config with all defaults, and exit")
    parser.add_argument("--stage", default="", metavar="NAME", help="train only this pretraining stage")
    add_verify_argument(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check config and data and estimate the cost, without training or writing files",
    )
    costs = parser.add_argument_group("assumptions for --dry-run (docs/cost.md)")
    costs.add_argument(
        "--assume",
        metavar="NAME=VALUE,...",
        help="assume these rows instead of reading the data: rows=290000,seconds=5.4,source=11,target=14[,spread=0.35]",
    )
    costs.add_argument(
        "--processes", type=whole(1), nargs="+", metavar="N", help="numbers of GPUs to plan for (default: 1 8)"
    )
    costs.add_argument("--device", help="GPU to plan for: h100, h200 or a100 (default: h100)")
    costs.add_argument(
        "--utilization", type=float, metavar="SHARE", help="achieved share of the GPU's peak rate (default: 0.4)"
    )
    costs.add_argument(
        "--fit",
        type=number(0.001, 1e6),
        metavar="GIB",
        help="propose the largest batch that fits into GIB of GPU memory",
    )
    costs.add_argument("--json", action="store_true", default=None, help="print the dry run as JSON")


def run(args: argparse.Namespace) -> int:
    from aista.config import dump_yaml
    from aista.engine.claim import open_experiment
    from aista.errors import AistaError
    from aista.run_folder.paths import RunPaths
    from aista.tasks.experiment import load_experiment
    from aista.terminal import configure_logging

    if args.config is None and not RunPaths(args.run).is_run:
        raise AistaError(f"{args.run} is not a run folder yet; name a config with --config FILE")
    experiment = (
        open_experiment(args.run, args.overrides)
        if args.config is None
        else load_experiment(args.config, args.overrides)
    )
    if args.dump_config:
        sys.stdout.write(dump_yaml(experiment.to_plain()))  # for a file, so not escaped: YAML does that
        return 0
    configure_logging()
    if args.dry_run:
        return _dry_run(experiment, args)
    for name in COST_OPTIONS:
        if getattr(args, name) is not None:
            raise AistaError(f"--{name} is for --dry-run; add --dry-run, or leave out --{name}")
    from aista.engine.training.train import train

    train(experiment, args.run, stage=args.stage, verify=args.verify)
    return 0


def _dry_run(experiment: Experiment, args: argparse.Namespace) -> int:
    from aista.engine.cost.device import DEVICES
    from aista.engine.cost.dry_run import dry_run
    from aista.engine.cost.rows import parse_assumption
    from aista.engine.training.train import find_stage
    from aista.errors import AistaError
    from aista.registry import nearest

    given = {name: getattr(args, name) for name in ("processes", "device", "utilization", "fit") if getattr(args, name)}
    if args.device and args.device not in DEVICES:
        raise AistaError(
            f"--device: unknown {args.device!r}{nearest(args.device, DEVICES)}; known: {', '.join(DEVICES)}"
        )
    if args.utilization is not None and not 0 < args.utilization <= 1:
        raise AistaError(f"--utilization: must be above 0 and at most 1, got {args.utilization:g}")
    for name in ("device", "utilization"):
        if args.fit is not None and name in given:
            raise AistaError(
                f"--{name} affects only the time of a step, which --fit does not estimate; leave one of them out"
            )
    assumption = parse_assumption(args.assume) if args.assume else None
    if args.stage:
        experiment = find_stage(experiment, args.stage)
    result = dry_run(experiment, assumption=assumption, **given)
    say(json.dumps(result.to_json(), indent=2) if args.json else result)
    return 0
