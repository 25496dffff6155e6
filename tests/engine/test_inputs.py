"""Shuffled transcripts and fewer rows: in training, and nowhere else."""

import pytest

from aista.engine.inputs import load_split
from aista.errors import DataError
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import tiny_config, write_config


@pytest.fixture
def load(tmp_path, corpus):
    def load(split, *, training, shuffle="false", rows=0):
        overrides = [f"data.shuffle_transcripts={shuffle}", f"data.train_rows={rows}"]
        experiment = load_experiment(write_config(tmp_path / "config.yaml", tiny_config(corpus)), overrides)
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


def test_training_takes_a_part_of_the_rows_and_evaluation_all(load):
    every, some = load("train", training=True), load("train", training=True, rows=3)
    assert len(some) == 3 < len(every)
    assert set(some) < set(every)
    assert load("train", training=False, rows=3) == every


def test_shuffled_transcripts_are_those_of_the_part(load):
    some, shuffled = (load("train", training=True, rows=3, shuffle=flag) for flag in ("false", "true"))
    assert sorted(row.src_text for row in some) == sorted(row.src_text for row in shuffled)


def test_more_rows_than_there_are_is_an_error(load):
    with pytest.raises(
        DataError, match=r"data\.train_rows: must be between 1 and \d+, .* got 999; 0 takes all of .*train\.tsv"
    ):
        load("train", training=True, rows=999)
