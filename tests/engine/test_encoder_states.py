"""A frozen encoder runs once per recording, and nothing else changes."""

import json
import re

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from aista.data.features.log_mel import LogMel
from aista.data.manifest import read_manifest
from aista.data.states import recording_keys
from aista.engine.evaluate import evaluate
from aista.engine.probe import probe
from aista.engine.train import train
from aista.modules.encoders._conformer import ConformerEncoder
from aista.tasks.experiment import load_experiment
from tests.tiny import tiny_config, write_config

RETRIEVAL = {"name": "retrieval", "config": {"warmup_steps": 2, "probe_size": 8, "top_k": 2}}
TRAINER = {"max_steps": 8, "learning_rate": 3e-3, "log_every": 1, "validate_every": 4, "checkpoint_every": 4}


@pytest.fixture
def experiment(tmp_path, corpus):
    def make(*overrides, cached=True, **changes):
        config = tiny_config(corpus, trainer=TRAINER, layer_selection=RETRIEVAL)
        config["encoder"]["tuning"] = "frozen"
        if cached:
            config["data"]["encoder_cache"] = {"name": "disk", "config": {"path": str(tmp_path / "cache")}}
        return load_experiment(write_config(tmp_path / "config.yaml", config | changes), overrides)

    return make


def losses(run):
    records = [
        json.loads(line)
        for name in ("train", "valid")
        for line in (run / "metrics" / f"{name}.jsonl").read_text().splitlines()
    ]
    timed = re.compile(r".*(time|second|throughput|rate|memory|elapsed|_per_).*")
    return [{key: value for key, value in record.items() if not timed.match(key)} for record in records]


@pytest.fixture
def calls(monkeypatch):
    """Batch sizes that the encoder saw, and how many recordings' features were computed."""
    counts = {"encoded": [], "features": 0}
    forward, feature = ConformerEncoder.forward, LogMel.__call__

    def counted_forward(self, audio, lengths):
        counts["encoded"].append(len(lengths))
        return forward(self, audio, lengths)

    def counted_feature(self, wave):
        counts["features"] += 1
        return feature(self, wave)

    monkeypatch.setattr(ConformerEncoder, "forward", counted_forward)
    monkeypatch.setattr(LogMel, "__call__", counted_feature)
    return counts


@pytest.fixture
def row_by_row(monkeypatch):
    """Let the encoder run on each row alone, so that no kernel's rounding depends on the batch."""
    forward = ConformerEncoder.forward

    def alone(self, audio, lengths):
        rows = [forward(self, audio[i : i + 1, :length], lengths[i : i + 1]) for i, length in enumerate(lengths)]
        states = pad_sequence([states[0] for states, _ in rows], batch_first=True)
        return states, torch.cat([length for _, length in rows])

    monkeypatch.setattr(ConformerEncoder, "forward", alone)


@pytest.fixture
def plain_run(tmp_path, experiment):
    train(experiment(cached=False), tmp_path / "plain")
    return tmp_path / "plain"


def test_training_evaluation_and_probe_equal_those_without_cache(tmp_path, experiment, row_by_row, plain_run):
    cached = tmp_path / "cached"
    train(experiment(), cached)
    assert len(losses(cached)) == 10
    assert losses(cached) == losses(plain_run)
    for file in ("selection.json", "parameters.json"):
        assert json.loads((cached / file).read_text()) == json.loads((plain_run / file).read_text())
    assert evaluate(cached, "test").scores == evaluate(plain_run, "test").scores
    curves = [probe(run, "test", size=6, resamples=0)[1].to_json() for run in (cached, plain_run)]
    assert curves[0] == curves[1]


def test_batched_encoding_differs_by_rounding_alone(tmp_path, experiment, plain_run):
    train(experiment(), tmp_path / "cached")
    for record, expected in zip(losses(tmp_path / "cached"), losses(plain_run), strict=True):
        assert record == pytest.approx(expected, rel=1e-4, abs=1e-6)


def recordings(corpus, split):
    rows = read_manifest(corpus / f"{split}.tsv").rows
    return set(recording_keys(rows, corpus / f"{split}.tsv").values())


def test_the_encoder_sees_each_recording_once(tmp_path, corpus, experiment, calls):
    seen = recordings(corpus, "train") | recordings(corpus, "dev")
    train(experiment(), tmp_path / "run")
    assert calls == {"encoded": [1] * len(seen), "features": len(seen)}
    train(experiment("trainer.max_steps=4", "trainer.learning_rate=1e-4"), tmp_path / "another")
    evaluate(tmp_path / "run", "dev")
    assert calls["features"] == len(seen), "another run and the evaluation find all states"
    new = len(recordings(corpus, "test") - seen)
    evaluate(tmp_path / "run", "test")
    evaluate(tmp_path / "another", "test")
    assert calls == {"encoded": [1] * (len(seen) + new), "features": len(seen) + new}
