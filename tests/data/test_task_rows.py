"""The rows that a row makes for each task, and what they cannot be made of."""

from dataclasses import replace

import pytest

from aista.data.data_config import DataConfig
from aista.data.inspection import inspect
from aista.data.manifest import Row, read_manifest, write_manifest
from aista.data.manifest_rows import Rows
from aista.data.row_tasks import TASKS, is_text_row
from aista.data.task_rows import for_tasks, rows_alike, rows_of_tasks
from aista.errors import DataError

FULL = Row("a", "a.wav", 16_000, "un deux", "s", "one two", "en", "fr", "0.0-0.4 0.4-0.9")
ROWS = [FULL, replace(FULL, id="b", src_text="", word_times=""), replace(FULL, id="c", audio="c.wav", tgt_text="")]


def inspected(folder, rows):
    write_manifest(folder / "train.tsv", rows)
    return inspect(read_manifest(folder / "train.tsv"), DataConfig(), with_audio=False, needs_target=False)


def made(folder, rows, *tasks, known=tuple(TASKS)):
    return rows_of_tasks(inspected(folder, rows), tasks, "||", known=known)


def test_each_task_reads_and_writes_its_own_fields(tmp_path):
    result = made(tmp_path, ROWS, "st", "asr", "mt", "cot")
    found = [(row.task, row.id, row.audio, row.src_text, row.tgt_text, row.tgt_lang) for row in result.kept]
    assert found == [
        ("st", "a", "a.wav", "one two", "un deux", "fr"),
        ("st", "b", "a.wav", "", "un deux", "fr"),
        ("asr", "a", "a.wav", "one two", "one two", "en"),
        ("asr", "c", "c.wav", "one two", "one two", "en"),
        ("mt", "a", "", "one two", "un deux", "fr"),
        ("cot", "a", "a.wav", "one two", "one two || un deux", "fr"),
    ]
    assert result.task_rows == {"st": 2, "asr": 2, "mt": 1, "cot": 1}
    assert len(result.durations) == len(result.kept)
    text = result.kept[4]
    assert (text.n_frames, text.word_times, text.seconds) == (0, "", 0)
    assert result.to_json()["tasks"] == result.task_rows
    assert result.to_json()["target_languages"] == ["fr"]  # transcripts are no translations


def test_rows_that_no_task_can_use_are_counted(tmp_path):
    result = made(tmp_path, ROWS, "cot")
    assert [row.id for row in result.kept] == ["a"]
    assert list(result.set_aside.values()) == [2]
    assert "for none of the tasks cot" in result.summary()


def test_a_recording_is_recognised_once_however_many_languages_it_is_translated_into(tmp_path, caplog):
    rows = [FULL, replace(FULL, id="a-de", tgt_text="eins zwei", tgt_lang="de"), replace(FULL, id="b", audio="b.wav")]
    with caplog.at_level("INFO"):
        result = made(tmp_path, rows, "st", "asr")
    assert [(row.task, row.id) for row in result.kept] == [
        *(("st", id) for id in ("a", "a-de", "b")),
        ("asr", "a"),
        ("asr", "b"),
    ]
    assert "asr: left out 1 rows of a recording and transcript that another has" in caplog.text
    assert not result.set_aside


def test_the_column_task_limits_a_row_to_one(tmp_path):
    rows = [replace(FULL, task="asr"), replace(FULL, id="b", audio="b.wav")]
    result = made(tmp_path, rows, "st", "asr")
    assert [(row.task, row.id) for row in result.kept] == [("st", "b"), ("asr", "a"), ("asr", "b")]
    assert read_manifest(tmp_path / "train.tsv").rows[0].task == "asr"
    assert read_manifest(tmp_path / "train.tsv").unknown_columns == ()


@pytest.mark.parametrize(
    ("task", "known", "message"),
    [
        ("ast", ("st",), "train.tsv:2: a: task must be one of st, asr, mt, cot or empty, got 'ast'"),
        ("mt", ("st", "asr"), r"train.tsv:2: a: task must be one of data.tasks \[st, asr\], got 'mt'; add it there"),
    ],
)
def test_a_row_for_an_unknown_task_is_an_error(tmp_path, task, known, message):
    with pytest.raises(DataError, match=message):
        made(tmp_path, [replace(FULL, task=task)], "st", known=known)


def test_a_task_without_a_single_row_is_an_error(tmp_path):
    config = DataConfig(tasks=("st", "mt"))
    with pytest.raises(
        DataError, match=r"no row can be used for the task mt \(data.tasks\), which needs src_text, tgt_text"
    ):
        for_tasks([inspected(tmp_path, ROWS[1:2])], config.tasks, config)


def test_a_transcript_that_holds_the_marker_is_an_error(tmp_path):
    rows = [FULL, replace(FULL, id="b", src_text="one ||"), replace(FULL, id="c", audio="c.wav", tgt_text="un || deux")]
    assert made(tmp_path, rows, "st", "asr").task_rows == {"st": 3, "asr": 3}
    with pytest.raises(
        DataError, match=r"train.tsv:3: b: src_text must not hold data.cot_marker '\|\|'.* in 1 of 3 rows"
    ):
        made(tmp_path, rows, "st", "cot")
    rows[1] = replace(rows[1], task="st")
    assert made(tmp_path, rows, "st", "cot").task_rows == {"st": 3, "cot": 2}


def test_rows_that_are_all_alike_name_no_task(tmp_path):
    manifest = tmp_path / "train.tsv"
    rows = Rows.of([FULL, replace(FULL, id="b", task="st")])
    assert {row.task for row in rows_alike(rows, manifest, usual="st")} == {""}
    rows = Rows.of([FULL, replace(FULL, id="b", task="mt", line=3)])
    assert {row.task for row in rows_alike(rows, manifest, usual="")} == {""}
    with pytest.raises(
        DataError, match=r"train.tsv:3: b: task must be empty or st .*got 'mt' \(such are 1 of 2 rows\)"
    ):
        rows_alike(rows, manifest, usual="st")


def test_only_text_rows_are_without_audio():
    assert [name for name in TASKS if is_text_row(name)] == ["mt"]
    assert not is_text_row("")
