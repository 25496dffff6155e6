"""Steps whose gradient is not finite are skipped or end the training; the weights never see them."""

import dataclasses
import json

import pytest
import torch

from aista.engine.checkpoints import checkpoint_steps, load_weights
from aista.engine.training.train import train
from aista.errors import RunError
from aista.tasks.experiment import load_experiment
from aista.tasks.speech_translation import SpeechTranslationTask
from tests.tiny import tiny_config, write_config


@pytest.fixture
def broken_row(monkeypatch):
    """The loss of every batch that holds the row is not finite."""
    loss, seen = SpeechTranslationTask.loss, []

    def spoiled(task, model, batch):
        result = loss(task, model, batch)
        if not model.training or "train5" not in batch.ids:
            return result
        seen.append(batch.ids)
        return dataclasses.replace(
            result, total=result.total * torch.inf, metrics={"nll": (result.total * torch.inf, 1.0)}
        )

    monkeypatch.setattr(SpeechTranslationTask, "loss", spoiled)
    return seen


def experiment(folder, corpus, *, selection=None, **trainer):
    options = tiny_config(corpus, trainer={"max_steps": 9, "log_every": 1, "checkpoint_every": 1} | trainer)
    if selection is not None:
        options["layer_selection"] = selection
    return load_experiment(write_config(folder / "config.yaml", options))


def records(run):
    return [json.loads(line) for line in (run / "metrics" / "train.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("max_grad_norm", [0.0, 1.0])
def test_the_first_such_step_ends_training_and_keeps_what_was_learned(tmp_path, corpus, broken_row, max_grad_norm):
    run = tmp_path / "run"
    with pytest.raises(
        RunError, match=r"step (\d): the gradient norm must be finite, got nan; .*max_skipped_steps"
    ) as e:
        train(experiment(tmp_path, corpus, max_grad_norm=max_grad_norm, grad_accumulation=2), run)
    step = int(str(e.value).removeprefix("step ")[0])
    assert str(e.value).count("train") >= 5
    assert [record["step"] for record in records(run)] == list(range(1, step))
    checkpoints = checkpoint_steps(run)
    assert [checkpoint.step for checkpoint in checkpoints] == ([step - 1] if step > 1 else [])
    assert all(tensor.isfinite().all() for one in checkpoints for tensor in load_weights(one).values())


def test_skipped_steps_leave_no_trace_but_their_count(tmp_path, corpus, broken_row, capsys):
    """24 rows are 3 batches an epoch, one of them broken: 9 steps take 4 to 5 epochs."""
    retrieval = {"name": "retrieval", "config": {"probe_size": 8, "top_k": 1, "warmup_steps": 0}}
    scheduled = {"name": "scheduled", "config": {"strategy": retrieval, "every": 1}}
    run = tmp_path / "run"
    train(experiment(tmp_path, corpus, selection=scheduled, max_skipped_steps=6), run)
    written = records(run)
    assert [record["step"] for record in written] == list(range(1, 10))
    assert all(record["nll"] is not None and record["grad_norm"] is not None for record in written)
    assert written[-1]["skipped_steps"] == len(broken_row) in (4, 5)
    assert capsys.readouterr().err.count("skipped (") == len(broken_row)
    choices = json.loads((run / "selection.json").read_text())["choices"]
    assert [choice["step"] for choice in choices] == list(range(9))


def test_the_count_is_part_of_the_run(tmp_path, corpus, broken_row):
    run, options = tmp_path / "run", experiment(tmp_path, corpus, max_skipped_steps=1)
    with pytest.raises(RunError, match=r"max_skipped_steps \(now 1\)"):
        train(options, run)
    assert len(broken_row) == 2
    with pytest.raises(RunError, match=r"max_skipped_steps \(now 1\)"):
        train(options, run)
    assert len(broken_row) == 3, "a resumed run remembers what it skipped"


def test_an_epoch_of_skipped_steps_is_no_success(tmp_path, corpus, broken_row):
    with pytest.raises(RunError, match="step 1: the gradient norm"):
        train(experiment(tmp_path, corpus, max_skipped_steps=100, grad_accumulation=3), tmp_path / "run")
