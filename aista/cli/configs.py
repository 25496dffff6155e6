"""``aista configs [NAME]``."""

from __future__ import annotations

import argparse
import sys
from itertools import groupby

from aista.console import hanging, say
from aista.shipped import describe_config, find_config, shipped_configs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="print this config, e.g. `aista configs NAME > my.yaml`; without a name, list them",
    )


def run(args: argparse.Namespace) -> int:
    if args.name is not None:
        sys.stdout.write(find_config(args.name).read_text(encoding="utf-8"))
        return 0
    for folder, configs in groupby(shipped_configs().items(), lambda item: item[1].parent.name):
        say(f"{folder}:")
        for name, path in configs:
            command, summary = describe_config(path)
            say(hanging(f"  {name}: {summary}", 6))
            say(f"    {command}")  # whole, to be copied
    return 0
