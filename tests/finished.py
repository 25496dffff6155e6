"""Runs that look trained: the folder of a finished run whose weights are the model's own, a little moved."""

from pathlib import Path

import torch
from torch import nn

from aista.config import dump_yaml
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import write_config


def finish(folder: Path, options: dict[str, object]) -> tuple[Path, nn.Module]:
    """The run folder and its model; no step is taken."""
    run = folder / "run"
    weights = run / "checkpoints" / "step_1" / "model" / "pp_00" / "tp_00"
    weights.mkdir(parents=True)
    experiment = load_experiment(write_config(folder / "config.yaml", options))
    (run / "config.yaml").write_text(dump_yaml(experiment.to_plain()))
    model = build_task(experiment).build_model().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += (0.05 * torch.randn(parameter.shape)).to(parameter.dtype)
    torch.save(model.state_dict(), weights / "sdp_00.pt")
    (run / "timing.json").write_text("{}")
    return run, model
