"""A tiny run that was really trained, evaluated and probed, and commands on it."""

from __future__ import annotations

from pathlib import Path

from aista.cli.main import main
from tests.tiny import tiny_config, write_config


def train_run(folder: Path, corpus: Path) -> Path:
    """The run folder, with checkpoints of steps 2 and 4; validation and evaluation score nothing but BLEU."""
    options = tiny_config(
        corpus,
        trainer={"max_steps": 4, "learning_rate": 3e-3, "log_every": 2, "checkpoint_every": 2, "validate_every": 2},
        layer_selection={"name": "retrieval", "config": {"warmup_steps": 1, "probe_size": 4, "top_k": 1}},
    )
    options["trainer"]["keep_last"] = 2
    options["evaluation"] |= {"metrics": [{"name": "bleu"}]}
    run = folder / "run"
    assert main(["train", str(run), "--config", str(write_config(folder / "config.yaml", options))]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert main(["probe", str(run), "--size", "4", "--resamples", "0"]) == 0
    return run
