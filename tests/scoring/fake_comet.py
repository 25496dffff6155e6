"""An interpreter with a small stand-in for ``unbabel-comet``, which fails as it is told."""

from __future__ import annotations

import sys
from pathlib import Path

COMET = r'''
import os, pickle, signal, sys
import torch

MODE = os.environ.get("FAKE_COMET", "")

class Model:
    """Scores a segment by the share of its words that are in the reference, or else in the source."""
    def requires_references(self):
        return MODE == "needs references"
    def predict(self, rows, batch_size, gpus):
        with open(os.environ["FAKE_LOG"], "a") as log:
            log.write(f"{len(rows)} batch_size={batch_size} gpus={gpus}\n")
        print("GPU available: False")
        print("Predicting: 50%|..|\rPredicting: 100%|..|", file=sys.stderr)
        if MODE == "crash":
            print("RuntimeError: the seventh seal\nis broken", file=sys.stderr)
            sys.exit(7)
        if MODE == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        scores = []
        for row in rows:
            words, known = row["mt"].split(), row.get("ref", row["src"]).split()
            scores.append(sum(word in known for word in words) / max(len(words), len(known), 1))
        if MODE == "nan":
            scores[1] = float("nan")
        return {"scores": scores[1:] if MODE == "short" else scores}

ASKED = {True: False, False: None}  # Lightning of before and since 2.6

def load_from_checkpoint(path):
    kinds = torch.load(path, weights_only=ASKED[MODE == "old lightning"])
    if MODE in ("not weights", "old lightning") and kinds == "weights alone":
        raise pickle.UnpicklingError("Weights only.\n\tUnsupported global: GLOBAL os.system was not allowed.")
    return Model()
'''
TORCH = """
__version__ = "9.9"

class cuda:
    @staticmethod
    def is_available():
        return False

def load(path, weights_only=None):  # of since 2.6
    open(path).close()
    return "anything" if weights_only is False else "weights alone"
"""


def make_interpreter(folder: Path, *, comet: str = COMET, packaged: bool = True) -> Path:
    """A script that runs Python with the stand-ins in front of everything else."""
    packages = folder / "packages"
    packages.mkdir(parents=True)
    (packages / "comet.py").write_text(comet)
    (packages / "torch.py").write_text(TORCH)
    if packaged:
        (packages / "unbabel_comet-9.9.dist-info").mkdir()
        (packages / "unbabel_comet-9.9.dist-info" / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: unbabel-comet\nVersion: 9.9\n"
        )
    start = folder / "start.py"
    start.write_text(
        "import runpy, sys\n"
        f"assert sys.argv[1] == '-I', sys.argv\nsys.path.insert(0, {str(packages)!r})\n"
        "sys.argv = sys.argv[2:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    return script(folder / "python", f'exec "{sys.executable}" -I "{start}" "$@"')


def script(path: Path, line: str) -> Path:
    """A program that runs a line of the shell."""
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


def make_model(folder: Path) -> Path:
    """A folder in COMET's layout, for the stand-in."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "hparams.yaml").write_text("class_identifier: regression_metric\n")
    (folder / "checkpoints" / "model.ckpt").write_text(folder.name)
    return folder
