"""``aista train RUN --config FILE [key=value ...]``."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder; a stopped run goes on where it stood")
    parser.add_argument("--config", type=Path, help="YAML file; left out, RUN's own config is used")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="options that replace the config's")
    parser.add_argument(
        "--dump-config", action="store_true", help="print the resolved config with all defaults and stop"
    )
    parser.add_argument("--stage", default="", metavar="NAME", help="train one pretraining stage alone")
    parser.add_argument("--dry-run", action="store_true", help="check everything, build the model, write nothing")


def run(args: argparse.Namespace) -> int:
    """Train."""
    from aista.cli._logging import configure_logging
    from aista.config import dump_yaml
    from aista.engine.run_folder import CONFIG, open_experiment
    from aista.errors import AistaError
    from aista.tasks.experiment import load_experiment

    if args.config is None and args.overrides:
        raise AistaError(f"overrides need --config; without it {args.run}'s own config is used as it is")
    if args.config is None and not (args.run / CONFIG).is_file():
        raise AistaError(f"{args.run} is no run folder yet; name a config with --config FILE")
    experiment = open_experiment(args.run) if args.config is None else load_experiment(args.config, args.overrides)
    if args.dump_config:
        print(dump_yaml(experiment.to_plain()), end="")
        return 0
    configure_logging()
    from aista.engine.train import train

    train(experiment, args.run, dry_run=args.dry_run, stage=args.stage)
    return 0
