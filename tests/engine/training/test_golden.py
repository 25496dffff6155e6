"""Twenty steps of AI-STA on the tones: the losses of a known good version."""

import json

import pytest

from aista.engine.training.train import train
from aista.tasks.experiment import load_experiment
from tests.tiny import tiny_config, write_config

GOLDEN = {5: (3.4458, 1.1347), 10: (3.0209, 1.1271), 15: (2.8871, 1.0063), 20: (2.8175, 0.97162)}


def test_twenty_steps_give_the_known_losses(tmp_path, corpus):
    """A change here is a change of the method or of its numerics: say so in the changelog, then update."""
    options = tiny_config(corpus, trainer={"max_steps": 20, "learning_rate": 3e-3, "log_every": 5})
    train(load_experiment(write_config(tmp_path / "config.yaml", options)), tmp_path / "run")
    records = map(json.loads, (tmp_path / "run" / "metrics" / "train.jsonl").read_text().splitlines())
    measured = {record["step"]: (record["nll"], record["ot_layer_1"]) for record in records}
    assert measured == {step: pytest.approx(values, rel=1e-3) for step, values in GOLDEN.items()}
