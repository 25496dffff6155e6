"""Shuffled transcripts, fewer rows, further manifests: in training, and nowhere else."""

import shutil
from dataclasses import replace

import pytest

from aista.data.manifest import read_manifest, write_manifest
from aista.engine.inputs import load_split, load_training_splits
from aista.errors import ConfigError, DataError
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task, preflight
from tests.tiny import tiny_config, write_config


@pytest.fixture
def load(tmp_path, corpus):
    def load(split, *, training, shuffle="false", rows=0, more=()):
        overrides = [f"data.shuffle_transcripts={shuffle}", f"data.train_rows={rows}"]
        overrides += [f"data.speech=[{', '.join(map(str, more))}]"]
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


def test_rows_that_write_control_tokens_are_refused(tmp_path, corpus):
    first, second, *rows = (
        replace(row, audio=str(corpus / row.audio)) for row in read_manifest(corpus / "dev.tsv").rows
    )
    faulty = [replace(first, tgt_text="<fr> un chat"), replace(second, src_text="one <fr> cat", word_times="")]
    write_manifest(tmp_path / "some.tsv", [*faulty, *rows])
    experiment = load_experiment(write_config(tmp_path / "config.yaml", tiny_config(corpus)))
    with pytest.raises(DataError, match=r"control token: 2\n.*some\.tsv:2: .*: tgt_text must not write '<fr>'"):
        load_split(experiment, build_task(experiment), str(tmp_path / "some.tsv"))


@pytest.mark.parametrize(("split", "without"), [("train", 2), ("dev", 8)])
def test_rows_without_word_times_are_counted_where_a_loss_wants_them(tmp_path, corpus, caplog, split, without):
    rows = read_manifest(corpus / f"{split}.tsv").rows
    rows = [replace(row, audio=str(corpus / row.audio)) for row in rows]
    rows = [replace(row, word_times="") if index < without else row for index, row in enumerate(rows)]
    write_manifest(tmp_path / "some.tsv", rows)
    config = tiny_config(corpus, alignment=[{"name": "word_aligned"}])
    config["data"][split] = str(tmp_path / "some.tsv")
    experiment = load_experiment(write_config(tmp_path / "config.yaml", config))
    with caplog.at_level("INFO", logger="aista.data"):
        data = load_split(experiment, build_task(experiment), split, training=split == "train")
    assert f"some.tsv: {without} of {len(rows)} rows have no word times: not aligned by words" in caplog.text
    batch = data.dataset.batch(range(len(rows)), 0)
    aligned = 0 if batch.words is None else int(batch.words.flatten(1).any(1).sum())
    assert aligned == len(rows) - without


def test_more_rows_than_there_are_is_an_error(load):
    with pytest.raises(
        DataError, match=r"data\.train_rows: must be between 1 and \d+, .* got 999; 0 takes all of .*train\.tsv"
    ):
        load("train", training=True, rows=999)


def test_further_manifests_of_speech_are_trained_on_wherever_they_lie(load, corpus, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(corpus, elsewhere)
    plain = load("train", training=True)
    mixed = load("train", training=True, more=[elsewhere / "dev.tsv"])
    assert mixed[: len(plain)] == plain
    further = mixed[len(plain) :]
    dev = load("dev", training=False)
    assert [row.id for row in further] == [row.id for row in dev]
    assert [row.audio for row in further] == [str(elsewhere / row.audio) for row in dev]
    assert load("train", training=False, more=[elsewhere / "dev.tsv"]) == plain


def test_a_further_manifest_that_is_not_there_is_named(corpus, tmp_path):
    path = write_config(tmp_path / "config.yaml", tiny_config(corpus))
    experiment = load_experiment(path, [f"data.speech=[{corpus / 'dev.tsv'}, nowhere.tsv]"])
    with pytest.raises(ConfigError, match=r"data\.speech\[1\]: no such file: 'nowhere\.tsv'"):
        preflight(experiment)


@pytest.fixture
def untranslated(tmp_path, corpus):
    """Loads the training splits of a config whose splits ``gone`` have no translations."""

    def load(gone, score="loss", **changes):
        data = tiny_config(corpus)["data"]
        for split in gone:
            rows = (replace(row, audio=str(corpus / row.audio)) for row in read_manifest(corpus / f"{split}.tsv").rows)
            data[split] = str(tmp_path / f"{split}.tsv")
            write_manifest(tmp_path / f"{split}.tsv", [replace(row, tgt_text="", tgt_lang="") for row in rows])
        config = tiny_config(corpus, data=data, evaluation={"score": score}, **changes)
        experiment = load_experiment(write_config(tmp_path / "config.yaml", config))
        return load_training_splits(experiment, build_task(experiment))

    return load


def test_alignment_alone_takes_rows_without_translation(untranslated):
    splits = untranslated(("train", "dev"), translation_weight=0)
    assert {name: len(split.dataset) for name, split in splits.items()} == {"train": 24, "dev": 8}


@pytest.mark.parametrize("split", ["train", "dev"])
def test_translation_takes_none_without(untranslated, split):
    with pytest.raises(DataError, match="empty target: "):
        untranslated((split,))
    with pytest.raises(DataError, match="empty target: "):
        untranslated((split,), translation_weight=0, mt_weight=0.1)


@pytest.mark.parametrize("score", ["nll", "bleu"])
def test_a_score_of_translations_needs_some_in_dev(untranslated, score):
    with pytest.raises(
        DataError, match=f"dev.tsv: no row of dev .* evaluation.score '{score}' .* set evaluation.score: loss"
    ):
        untranslated(("train", "dev"), score=score, translation_weight=0)
    assert untranslated(("train",), score=score, translation_weight=0)
