"""What a glance at a run folder says, for every state that it can be in."""

import json
import os
from pathlib import Path

import pytest

from aista.errors import AistaError
from aista.locks import locked
from aista.run_folder.failures import failure_noted, read_failure
from aista.run_folder.metric_records import last_records, read_records
from aista.run_folder.paths import RunPaths
from aista.run_folder.status import DevScore, read_status, seconds_left
from tests.written_runs import write_run

CONFIG = "trainer: {max_steps: 300}\nevaluation: {score: bleu}\n"


@pytest.fixture
def run(tmp_path):
    run = RunPaths(write_run(tmp_path / "run"))
    run.config_file.write_text(CONFIG)
    run.timing_file.unlink()
    lines = [{"step": step, "wall_time": 2.0 * step} for step in range(1, 201)]
    run.metrics_file("train").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    scores = [(50, 11.0, 11.0), (100, 14.0, 14.0), (150, 12.0, 12.0), (200, None, None)]
    lines = [{"step": step, "nll": 1.0, "bleu": bleu, "score": score} for step, bleu, score in scores]
    run.metrics_file("valid").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return run


def test_a_stopped_run(run):
    status = read_status(run.path)
    assert (status.state, status.step, status.max_steps, status.seconds_left) == ("stopped", 200, 300, None)
    assert status.best == DevScore("bleu", 14.0, 100)
    assert status.scores == {"test": {"bleu": 40.0}}
    assert status.problem == ""


def test_a_running_one_has_time_left(run):
    os.utime(run.metrics_file("train"), (1e9, 1e9))
    with locked(run.training_lock, run.path):
        assert read_status(run.path).state == "running"
        assert read_status(run.path).seconds_left == 0  # its last record is older than the time it should have taken
        run.metrics_file("train").touch()
        assert read_status(run.path).seconds_left == pytest.approx(200, abs=20)


def test_a_finished_one(run):
    run.timing_file.write_text("{}")
    assert read_status(run.path).state == "finished"


def test_a_failed_one_until_it_is_tried_again(run):
    with pytest.raises(AistaError), failure_noted(run):
        raise AistaError("the disk is full\nand more")
    assert read_status(run.path).problem == "the disk is full"
    assert read_status(run.path).state == "failed"
    with failure_noted(run):
        assert read_failure(run) == ""
    assert read_status(run.path).state == "stopped"


def test_an_interrupt_is_no_failure(run):
    with pytest.raises(KeyboardInterrupt), failure_noted(run):
        raise KeyboardInterrupt
    assert read_failure(run) == ""


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    with pytest.raises(ValueError, match="x"), failure_noted(RunPaths(tmp_path)):
        raise ValueError("x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config.yaml", "trainer: {max_steps: many}"),
        ("config.yaml", "a: [\n"),
        ("metrics/train.jsonl", "{}\n"),
        ("metrics/valid.jsonl", "not JSON\n"),
        ("evaluation/test/scores.json", "{}"),
        ("failure.json", "[]"),
    ],
)
def test_what_is_damaged_is_named(run, file, text):
    (run.path / file).write_text(text)
    status = read_status(run.path)
    assert str(run.path / file) in status.problem
    assert "\n" not in status.problem


def test_the_time_left_follows_the_pace_of_the_records():
    records = [{"step": step, "wall_time": time} for step, time in ((10, 5.0), (20, 15.0), (30, 2.0), (40, 12.0))]
    assert seconds_left(records, 100) == pytest.approx(60.0)  # what was resumed at 30 took no negative time
    assert seconds_left(records[:1], 100) is None
    assert seconds_left([{"step": 1}, {"step": 2}], 100) is None
    assert seconds_left([], 100) is None


def test_the_last_records_are_those_of_the_whole_file(run: RunPaths):
    file: Path = run.metrics_file("train")
    all_records = read_records(file)
    assert last_records(file) == all_records
    some = last_records(file, 500)
    assert 5 < len(some) < 50
    assert some == all_records[-len(some) :]
    with file.open("a") as stream:
        stream.write('{"step": 201')
    assert last_records(file, 500)[-1] == all_records[-1]
