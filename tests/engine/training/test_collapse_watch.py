"""The collapse watch, alone and in trainings that do and do not collapse."""

import json
import logging

import pytest

from aista.engine.training.collapse_watch import CollapseWatch
from aista.engine.training.train import train
from aista.tasks.experiment import load_experiment
from tests.tiny import tiny_config, write_config


@pytest.fixture
def warnings():
    """Messages of the watch; a handler of its own, because fairseq2 replaces the root logger's."""
    messages, logger = [], logging.getLogger("aista.collapse")
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def run(tmp_path, corpus, **changes):
    trainer = {"max_steps": 60, "learning_rate": 1e-2, "log_every": 2}
    config = write_config(tmp_path / "config.yaml", tiny_config(corpus, trainer=trainer, **changes))
    train(load_experiment(config), tmp_path / "run")
    return [json.loads(line) for line in (tmp_path / "run" / "metrics" / "train.jsonl").read_text().splitlines()]


def test_alignment_that_drowns_the_translation_is_reported_once(tmp_path, corpus, warnings):
    cost = {"cost": "sqeuclidean"}
    run(tmp_path, corpus, alignment=[{"name": "ot", "weight": 300.0, "config": cost}], text_gradient=True)
    assert len(warnings) == 1
    assert "states of layer" in warnings[0]
    assert "Lower alignment[].weight" in warnings[0]


def test_a_sound_training_is_not_reported(tmp_path, corpus, warnings):
    records = run(tmp_path, corpus)
    assert warnings == []
    assert {"speech_variance_layer_1", "text_rank_layer_0"} <= records[-1].keys()


def record(step, **metrics):
    return {"step": step, "nll": 1.0, **metrics}


def test_each_metric_has_its_own_beginning(tmp_path, warnings):
    watch = CollapseWatch(tmp_path / "train.jsonl")
    watch.look(record(10, speech_variance_layer_0=4.0))
    watch.look(record(20, speech_variance_layer_0=0.21, speech_variance_layer_2=0.001))
    watch.look(record(30, speech_variance_layer_0=1.0, speech_variance_layer_2=None))
    assert warnings == []
    watch.look(record(40, speech_variance_layer_0=0.19))
    watch.look(record(50, speech_variance_layer_0=0.01))
    (message,) = warnings
    assert message.startswith(
        "step 40: the speech states of layer 0 are collapsing: their variance is 0.19, 4.8 % of the 4 at step 10."
    )


def test_a_rank_has_its_own_measure(tmp_path, warnings):
    watch = CollapseWatch(tmp_path / "train.jsonl")
    watch.look(record(10, text_rank_layer_3=30.0))
    watch.look(record(20, text_rank_layer_3=6.1))
    assert warnings == []
    watch.look(record(30, text_rank_layer_3=5.9))
    assert "their effective rank is 5.9, 19.7 % of the 30" in warnings[0]


def test_a_resumed_run_compares_with_its_beginning(tmp_path, warnings):
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps(record(10, speech_variance_layer_0=4.0)) + "\n")
    CollapseWatch(file).look(record(20, speech_variance_layer_0=0.1))
    assert "of the 4 at step 10" in warnings[0]
