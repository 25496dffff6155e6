"""Runs that look trained: the folder of a finished run whose weights are the model's own, a little moved."""

from pathlib import Path

import torch
from torch import nn

from aista.config import dump_yaml
from aista.files import hash_file
from aista.run_folder.checksums import write_checksums
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import write_config


def finish(folder: Path, options: dict[str, object]) -> tuple[Path, nn.Module]:
    """The run folder and its model; no step is taken."""
    run = folder / "run"
    checkpoint = run / "checkpoints" / "step_1"
    weights = checkpoint / "model" / "pp_00" / "tp_00" / "sdp_00.pt"
    weights.parent.mkdir(parents=True)
    experiment = load_experiment(write_config(folder / "config.yaml", options))
    (run / "config.yaml").write_text(dump_yaml(experiment.to_plain()))
    model = build_task(experiment).build_model().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += (0.05 * torch.randn(parameter.shape)).to(parameter.dtype)
    torch.save(model.state_dict(), weights)
    write_checksums(checkpoint, {weights.relative_to(checkpoint).as_posix(): hash_file(weights)})
    (run / "timing.json").write_text("{}")
    return run, model
