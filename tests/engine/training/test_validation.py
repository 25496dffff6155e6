"""Scores reach the task, live and after a resume, and a validation that a kill cut off is made up for."""

import json
import math
import re
import shutil
from types import SimpleNamespace

import pytest

from aista.engine.checkpoints import checkpoint_steps
from aista.engine.training.train import train
from aista.engine.training.validation import ValidationScores, past_scores
from aista.tasks.experiment import load_experiment
from tests.tiny import tiny_config, write_config


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def options(corpus, trainer, **changes):
    steps = {"max_steps": 10, "learning_rate": 3e-3, "log_every": 2, "keep_last": 9}
    return tiny_config(corpus, trainer=steps | trainer, **changes)


def load(folder, config):
    return load_experiment(write_config(folder / "config.yaml", config))


def cut_behind_checkpoint(whole, killed, step):
    """The run folder as a kill leaves it between the checkpoint of a step and its validation."""
    shutil.copytree(whole, killed)
    (killed / "timing.json").unlink()
    for later in (path for path in killed.glob("checkpoints/step_*") if int(path.name[5:]) > step):
        shutil.rmtree(later)
    for score in killed.glob("checkpoints/scores/*"):
        if int(score.stem[5:]) >= step:
            score.unlink()
    for name, last in (("train", step), ("valid", step - 1)):
        file = killed / "metrics" / f"{name}.jsonl"
        file.write_text("".join(json.dumps(record) + "\n" for record in lines(file) if record["step"] <= last))


def outcome(run):
    """What a run recorded, but for times: every metric, the layers, and the score of each checkpoint."""
    metrics = {
        (name, record["step"]): {
            key: value
            for key, value in record.items()
            if re.match(r"nll|grad_norm|align|ot_|bleu|chrf|score|loss", key)
        }
        for name in ("train", "valid")
        for record in lines(run / "metrics" / f"{name}.jsonl")
    }
    scores = {file.name: file.read_text() for file in run.glob("checkpoints/scores/*")}
    return metrics, (run / "selection.json").read_text(), scores


EVERY = {"validate_every": 2, "checkpoint_every": 4}
PLATEAU = {"name": "until_plateau", "config": {"patience": 2, "min_delta": 9.0}}
PROBED = {"warmup_steps": 1, "probe_size": 8}
SELECTIONS = {
    "fixed": {"name": "fixed", "config": {"layers": [0, 1]}},
    "retrieval": {"name": "retrieval", "config": {**PROBED, "top_k": 2}},
    "learned": {"name": "learned", "config": {**PROBED, "every": 2}},
    "scheduled": {
        "name": "scheduled",
        "config": {"strategy": {"name": "cka", "config": {**PROBED, "top_k": 1}}, "every": 2, "hysteresis": 0.0},
    },
}


@pytest.mark.parametrize(
    ("selection", "translation_weight"), [("fixed", 1.0), ("retrieval", 0.0), ("learned", 0.0), ("scheduled", 1.0)]
)
def test_a_validation_that_was_cut_off_is_made_up_for(tmp_path, corpus, selection, translation_weight):
    config = options(
        corpus,
        EVERY,
        alignment=[{"name": "ot", "weight": 0.5, "schedule": PLATEAU}],
        layer_selection=SELECTIONS[selection],
        translation_weight=translation_weight,
        mt_weight=0.5,
    )
    config["evaluation"]["score"] = "loss"
    experiment = load(tmp_path, config)
    whole = tmp_path / "whole"
    train(experiment, whole)
    weights = {record["step"]: record["ot_weight"] for record in lines(whole / "metrics" / "train.jsonl")[-4:]}
    # Validations after 2, 4 and 6 steps: the second one without gain is that at step 6.
    assert weights == {4: 0.5, 6: 0.5, 8: 0.0, 10: 0.0}
    for step in (4, 8, 10):
        killed = tmp_path / f"killed{step}"
        cut_behind_checkpoint(whole, killed, step)
        train(experiment, killed)
        assert outcome(killed) == outcome(whole)


def test_the_end_is_validated_whenever_it_was_not(tmp_path, corpus):
    """With the default ``validate_every: 0``, cut off, lost behind a finished run, or cut off in its last write."""
    experiment = load(tmp_path, options(corpus, {"checkpoint_every": 4, "max_steps": 6}))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(experiment, whole)
    cut_behind_checkpoint(whole, killed, 6)
    train(experiment, killed)
    assert outcome(killed) == outcome(whole)
    (killed / "metrics" / "valid.jsonl").unlink()
    train(experiment, killed)
    assert outcome(killed) == outcome(whole)
    (killed / "timing.json").unlink()
    for cut in ("", "-1"):
        (killed / "checkpoints" / "scores" / "step_6.txt").write_text(cut)
        train(experiment, killed)
        assert outcome(killed) == outcome(whole)
        (killed / "timing.json").unlink()
    assert len(lines(killed / "metrics" / "valid.jsonl")) == 1


def test_a_resumed_run_stays_stopped_early(tmp_path, corpus):
    """Its last checkpoint lies behind the validation that ended it, and carries that validation's score."""
    trainer = {"max_steps": 20, "validate_every": 2, "checkpoint_every": 8, "early_stopping_patience": 2}
    config = options(corpus, trainer | {"learning_rate": 1e-9})
    config["evaluation"]["score"] = "bleu"
    experiment = load(tmp_path, config)
    run = tmp_path / "run"
    train(experiment, run)
    before = outcome(run)
    assert [step for name, step in before[0] if name == "valid"] == [2, 4, 6]
    assert before[2] == {"step_6.txt": f"{lines(run / 'metrics' / 'valid.jsonl')[-1]['score']}\n"}
    (run / "timing.json").unlink()
    train(experiment, run)
    assert outcome(run) == before


def test_what_a_kill_left_of_a_stale_checkpoint_is_removed(tmp_path, corpus):
    experiment = load(tmp_path, options(corpus, EVERY | {"keep_last": 1}))
    run = tmp_path / "run"
    train(experiment, run)
    (run / "timing.json").unlink()
    (run / "checkpoints" / "step_8" / "model").mkdir(parents=True)
    score = dict(past_scores(run / "metrics" / "valid.jsonl", 8))[8]
    (run / "checkpoints" / "scores" / "step_8.txt").write_text(f"{score}\n")
    train(experiment, run)
    assert [checkpoint.step for checkpoint in checkpoint_steps(run)] == [10]
    assert not (run / "checkpoints" / "scores" / "step_8.txt").exists()


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
