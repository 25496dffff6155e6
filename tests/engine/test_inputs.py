"""Shuffled transcripts: in training rows, and nowhere else."""

import pytest

from aista.engine.inputs import load_split
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import tiny_config, write_config


@pytest.fixture
def load(tmp_path, corpus):
    def load(split, *, training, shuffle):
        experiment = load_experiment(
            write_config(tmp_path / "config.yaml", tiny_config(corpus)), [f"data.shuffle_transcripts={shuffle}"]
        )
        return load_split(experiment, build_task(experiment), split, training=training).dataset.rows

    return load


def test_training_rows_get_other_transcripts_and_keep_speech_and_translation(load):
    plain, shuffled = (load("train", training=True, shuffle=flag) for flag in ("false", "true"))
    assert [(row.id, row.audio, row.tgt_text) for row in plain] == [
        (row.id, row.audio, row.tgt_text) for row in shuffled
    ]
    assert [row.src_text for row in plain] != [row.src_text for row in shuffled]
    assert sorted(row.src_text for row in plain) == sorted(row.src_text for row in shuffled)
    assert shuffled == load("train", training=True, shuffle="true")


@pytest.mark.parametrize("split", ["dev", "test", "train"])
def test_evaluated_rows_keep_theirs(load, split):
    assert load(split, training=False, shuffle="true") == load(split, training=False, shuffle="false")
