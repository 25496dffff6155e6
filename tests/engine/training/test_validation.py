"""Scores reach the task, live and after a resume, and a validation that a kill cut off is made up for."""

import json
import math
import shutil
from types import SimpleNamespace

import pytest

from aista.engine.training.train import train
from aista.engine.training.validation import ValidationScores, past_scores
from aista.tasks.experiment import load_experiment
from tests.tiny import tiny_config, write_config


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def experiment(tmp_path, corpus):
    schedule = {"name": "until_plateau", "config": {"patience": 2, "min_delta": 9.0}}
    options = tiny_config(
        corpus,
        trainer={
            "max_steps": 10,
            "learning_rate": 3e-3,
            "log_every": 2,
            "validate_every": 2,
            "checkpoint_every": 4,
            "keep_last": 9,
        },
        alignment=[{"name": "ot", "weight": 0.5, "schedule": schedule}],
    )
    return load_experiment(write_config(tmp_path / "config.yaml", options))


def test_the_plateau_ends_the_weight_and_a_resume_repeats_it(tmp_path, experiment):
    whole = tmp_path / "whole"
    train(experiment, whole)
    weights = {record["step"]: record["align_weight"] for record in lines(whole / "metrics" / "train.jsonl")}
    # Validations after 2, 4 and 6 steps: the second one without gain is that at step 6.
    assert weights == {2: 0.5, 4: 0.5, 6: 0.5, 8: 0.0, 10: 0.0}

    killed = tmp_path / "killed"  # as a kill leaves it between the checkpoint of step 4 and its validation
    shutil.copytree(whole, killed)
    for leftover in ("timing.json", "checkpoints/scores/step_4.txt"):
        (killed / leftover).unlink()
    for step in (8, 10):
        shutil.rmtree(killed / "checkpoints" / f"step_{step}")
        (killed / "checkpoints" / "scores" / f"step_{step}.txt").unlink()
    for name, last in (("train", 4), ("valid", 2)):
        file = killed / "metrics" / f"{name}.jsonl"
        file.write_text("".join(json.dumps(record) + "\n" for record in lines(file) if record["step"] <= last))
    train(experiment, killed)

    for name, keys in (("train", ("nll", "grad_norm", "align_weight")), ("valid", ("nll", "bleu", "score"))):
        found, expected = (
            [{key: record[key] for key in ("step", *keys)} for record in lines(run / "metrics" / f"{name}.jsonl")]
            for run in (killed, whole)
        )
        assert found == expected
    score = "checkpoints/scores/step_4.txt"
    assert (killed / score).read_text() == (whole / score).read_text()


class Listener:
    def __init__(self):
        self.heard = []

    def end_validation(self, step, score):
        self.heard.append((step, score))


def test_a_score_is_delivered_once_before_the_next_step():
    task = Listener()
    scores = ValidationScores(task, SimpleNamespace(size=1), [(2, 0.5)])
    scores.deliver()
    assert task.heard == [(2, 0.5)]
    scores.ended(4)
    scores.scored(0.75)
    scores.deliver()
    scores.deliver()
    assert task.heard == [(2, 0.5), (4, 0.75)]
    scores.ended(6)
    scores.scored(math.inf)
    scores.deliver()
    assert math.isnan(task.heard[-1][1])


def test_past_scores_are_those_up_to_the_checkpoint(tmp_path):
    file = tmp_path / "valid.jsonl"
    assert past_scores(file, 4) == []
    records = [{"step": 2, "score": 1.0}, {"step": 4, "score": None}, {"step": 6, "score": 3.0}]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    (first, second) = past_scores(file, 4)
    assert first == (2, 1.0)
    assert second[0] == 4
    assert math.isnan(second[1])
