"""Scores translations with COMET. Runs as a script in an interpreter that has the package ``unbabel-comet``.

The interpreter runs it by its path; it imports only the standard library, ``comet`` and ``torch``.
Standard input: a line of JSON with the request (checkpoint, batch_size, device, trust, references), and one per
segment (src, mt, ref). Standard output: a line ``{"score": number}`` per segment, or one ``{"problem": kind, "reason":
text}``. All that COMET prints goes to standard error. With ``--version``: ``{"version": text}`` of unbabel-comet.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import sys
from importlib import metadata
from typing import Any, TextIO


def main(arguments: list[str]) -> int:
    """The exit code; 0 too where a problem was reported."""
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with results:
        if arguments == ["--version"]:
            return _version(results)
        sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        request = json.loads(sys.stdin.readline())
        return _score(request, [json.loads(line) for line in sys.stdin], results)


def _version(results: TextIO) -> int:
    try:
        _write(results, version=metadata.version("unbabel-comet"))
    except metadata.PackageNotFoundError as error:
        _write(results, problem="import", reason=str(error))
    return 0


def _score(request: dict[str, Any], rows: list[dict[str, str]], results: TextIO) -> int:
    try:
        comet, torch = importlib.import_module("comet"), importlib.import_module("torch")
    except ImportError as error:
        _write(results, problem="import", reason=f"{type(error).__name__}: {error}")
        return 0
    _set_weights_only(torch, not request["trust"])
    try:
        model = comet.load_from_checkpoint(request["checkpoint"])
    except pickle.UnpicklingError as error:
        lines = [line.partition(" was not")[0] for line in str(error).splitlines() if "Unsupported" in line]
        _write(results, problem="unsafe", reason=(lines or str(error).splitlines() or [""])[0].strip())
        return 0
    if not request["references"] and model.requires_references():
        _write(results, problem="references", reason=type(model).__name__)
        return 0
    has_gpu = torch.cuda.is_available()
    if request["device"] == "cuda" and not has_gpu:
        _write(results, problem="device", reason=f"torch {torch.__version__} finds no GPU")
        return 0
    if not request["references"]:
        rows = [{"src": row["src"], "mt": row["mt"]} for row in rows]
    gpus = int(has_gpu and request["device"] != "cpu")
    for score in model.predict(rows, batch_size=request["batch_size"], gpus=gpus)["scores"]:
        _write(results, score=float(score))
    return 0


def _set_weights_only(torch: Any, weights_only: bool) -> None:
    """Set whether ``torch.load`` refuses pickles that could run code; the default depends on versions."""
    load = torch.load

    def load_as_decided(*args: Any, **options: Any) -> Any:
        return load(*args, **{**options, "weights_only": weights_only})

    torch.load = load_as_decided


def _write(results: TextIO, **record: Any) -> None:
    results.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
