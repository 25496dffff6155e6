"""Training on a stream of shards: as on the manifest it was made of, and through kills."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from aista.data.manifest import read_manifest
from aista.data.streams.shar_writer import write_shar
from aista.engine.stream_data import open_stream
from aista.engine.training.train import train
from aista.errors import ConfigError, DataError
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import preflight
from tests.engine.training.processes import in_processes
from tests.engine.training.test_resume import losses, scores, train_whole_and_killed
from tests.tiny import tiny_config, write_config


@pytest.fixture
def shar(tmp_path, corpus):
    """The 24 training rows of the tiny corpus in six shards."""
    write_shar(read_manifest(corpus / "train.tsv"), tmp_path / "shar", shard_rows=4)
    return tmp_path / "shar"


def configured(tmp_path, corpus, shar, *, shards_at_once=2, name="shar.yaml", data=None, dropout=0.1, **changes):
    config = tiny_config(corpus, **changes)
    del config["data"]["train"]
    config["data"]["stream"] = {"name": "shar", "config": {"path": str(shar), "shards_at_once": shards_at_once}}
    config["data"] |= {"batch_size": 5, **(data or {})}
    config["encoder"]["config"]["dropout"] = config["llm"]["config"]["dropout"] = dropout
    return write_config(tmp_path / name, config)


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path, corpus, shar):
    trainer = {"max_steps": 40, "learning_rate": 3e-3, "log_every": 5, "checkpoint_every": 10, "validate_every": 20}
    data = {"augmentation": {"name": "spec_augment"}, "batch_size": 3}  # nine batches an epoch
    config = configured(tmp_path, corpus, shar, trainer=trainer, data=data)
    whole = train_whole_and_killed(config, tmp_path, "data.num_workers=2", stop_before=27)
    assert list(whole) == list(range(5, 41, 5))
    assert scores(tmp_path / "killed") == scores(tmp_path / "whole")


@pytest.mark.slow
def test_one_window_trains_as_the_manifest_does(tmp_path, corpus, shar):
    trainer = {"max_steps": 12, "learning_rate": 3e-3, "log_every": 1, "validate_every": 12}
    alignment = [{"name": "word_aligned", "weight": 0.3}]
    changes = {"trainer": trainer, "alignment": alignment}
    streamed = configured(tmp_path, corpus, shar, shards_at_once=6, **changes)
    manifest = tiny_config(corpus, **changes)
    manifest["data"]["batch_size"] = 5
    manifest["encoder"]["config"]["dropout"] = manifest["llm"]["config"]["dropout"] = 0.1
    in_processes(1, streamed, tmp_path / "streamed")
    in_processes(1, write_config(tmp_path / "tsv.yaml", manifest), tmp_path / "tsv")
    assert losses(tmp_path / "streamed") == losses(tmp_path / "tsv")
    assert scores(tmp_path / "streamed") == scores(tmp_path / "tsv")
    facts = json.loads((tmp_path / "streamed" / "data.json").read_text())
    assert facts["train"][str(shar)]["shards"] == 6


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path, corpus, shar):
    trainer = {"max_steps": 8, "learning_rate": 3e-3, "log_every": 2, "checkpoint_every": 4}
    config = configured(tmp_path, corpus, shar, trainer=trainer, dropout=0.0)  # each process draws its own
    in_processes(1, config, tmp_path / "one")
    in_processes(2, config, tmp_path / "two", stop_before=7)
    in_processes(2, config, tmp_path / "two")
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert list(two) == [2, 4, 6, 8]
    for step, record in one.items():
        assert two[step]["nll"] == pytest.approx(record["nll"], rel=1e-4)


def opened(config, *overrides):
    experiment = load_experiment(config, overrides)
    return open_stream(experiment, preflight(experiment))


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("data.train=train.tsv", "train and stream"),
        ("data.train_rows=3", "train_rows does not work with stream 'shar', got 3: .*--rows N"),
        ("data.shuffle_transcripts=true", "shuffle_transcripts does not work with stream"),
        ("data.cache_features=true", "cache_features does not work with stream"),
        ("data.encoder_cache={name: disk, config: {path: cache}}", "encoder_cache does not work with stream"),
        ("data.speech=[more.tsv]", "speech does not work with stream"),
        ("data.stream.config.path=none", "data.stream: none: no such folder"),
        ("data.stream.name=shaar", "did you mean 'shar'"),
    ],
)
def test_what_does_not_work_is_refused_by_name(tmp_path, corpus, shar, override, fault):
    with pytest.raises(ConfigError, match=fault):
        opened(configured(tmp_path, corpus, shar), override)


def test_a_shard_cut_short_is_told_before_training(tmp_path, corpus, shar):
    file = shar / "recording.000004.tar"
    file.write_bytes(file.read_bytes()[:-700])
    with pytest.raises(ConfigError, match=r"data.stream: .*recording.000004.tar: .*cut short"):
        opened(configured(tmp_path, corpus, shar))


def test_a_shar_without_what_the_task_needs(tmp_path, corpus, shar):
    config = configured(tmp_path, corpus, shar)
    assert opened(config).first_window().num_met == 8
    with pytest.raises(DataError, match=r"cuts\.\d+.jsonl.gz:\d: train\d+: empty target: tgt_text must hold"):
        opened(config, "data.stream.config.target=fr")
    with pytest.raises(DataError, match=r"too long: must last at most 0.3 s"):
        opened(config, "data.max_seconds=0.3")
    drop = opened(config, "data.max_seconds=0.3", "data.on_bad_rows=drop").first_window()
    assert 0 < len(drop.bad) < drop.num_met == len(drop.rows) + len(drop.bad)
    with pytest.raises(DataError, match=r"0 of 8 rows can be used(.|\n)*too short"):
        opened(config, "data.min_seconds=5", "data.on_bad_rows=drop")


def test_too_many_bad_rows_end_a_training(tmp_path, corpus, shar):
    config = configured(tmp_path, corpus, shar, data={"on_bad_rows": "drop", "max_seconds": 0.3, "max_bad_rows": 0.0})
    with pytest.raises(DataError, match=r"rows met are bad, more than data.max_bad_rows \(0\) allows"):
        train(load_experiment(config), tmp_path / "run")
    with suppress(FileNotFoundError):
        assert not (tmp_path / "run" / "config.yaml").exists()
