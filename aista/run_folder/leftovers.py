"""Removes leftovers of a killed training."""

from __future__ import annotations

import shutil

from aista.files import remove_leftovers
from aista.run_folder.paths import RunPaths

__all__ = ["remove_training_leftovers"]


def remove_training_leftovers(run: RunPaths) -> None:
    """Remove half-written files and checkpoints, and scores of deleted ones; call it under ``training_lock``."""
    remove_leftovers(run.path, "*.json", "*.yaml", run.assets_dir.name)
    remove_leftovers(run.metrics_dir, run.metrics_file("*").name)
    remove_leftovers(run.scores_dir, "*.txt")
    for folder in run.half_written_checkpoints():
        shutil.rmtree(folder)
    for step in set(run.scored_steps()) - set(run.checkpoint_steps()):
        run.checkpoint_score_file(step).unlink()
