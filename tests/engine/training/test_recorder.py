import math

import torch

from aista.engine.training.recorder import RunRecorder
from aista.run_folder.metric_records import read_records
from aista.run_folder.paths import RunPaths


def test_numbers_are_recorded_by_name_and_step(tmp_path):
    recorder = RunRecorder(RunPaths(tmp_path), 10)
    recorder.record_metric_values("train", {"nll": torch.tensor(2.5), "lr": [0.1, 0.2], "note": "text"}, 5)
    assert read_records(tmp_path / "metrics" / "train.jsonl") == [{"step": 5, "nll": 2.5, "lr": [0.1, 0.2]}]


def test_what_is_not_finite_is_null_and_not_hidden(tmp_path):
    RunRecorder(RunPaths(tmp_path), 10).record_metric_values("train", {"nll": math.nan}, 1)
    assert read_records(tmp_path / "metrics" / "train.jsonl") == [{"step": 1, "nll": None}]


def test_steps_that_align_nothing_are_told_once(tmp_path, caplog):
    recorder = RunRecorder(RunPaths(tmp_path), 10)
    for step, rows in ((1, 3.0), (2, 0.0), (3, 0.0)):
        recorder.record_metric_values("train", {"aligned_rows": rows}, step)
    assert [message for message in caplog.messages if "could be aligned" in message] == [
        f"step 2: no row since the last record could be aligned: none had both speech and a transcript "
        f"(column src_text); see aligned_rows in {tmp_path}/metrics/train.jsonl"
    ]


def test_a_repeated_step_counts_once_and_a_cut_line_is_removed(tmp_path):
    file = tmp_path / "metrics" / "train.jsonl"
    file.parent.mkdir()
    file.write_text('{"step": 1, "nll": 3}\n{"step": 2, "nll": 2}\n{"step": 3, "n')
    RunRecorder(RunPaths(tmp_path), 10).record_metric_values("train", {"nll": 1.5}, 2)
    assert read_records(file) == [{"step": 1, "nll": 3}, {"step": 2, "nll": 1.5}]


def test_lines_say_what_time_is_left(tmp_path, caplog):
    recorder = RunRecorder(RunPaths(tmp_path), 1000)
    with caplog.at_level("INFO", "aista.train"):
        for step in (10, 20, 1000):
            recorder.record_metric_values("train", {"nll": 2.5, "wall_time": step * 3.0}, step)
        recorder.record_metric_values("valid", {"nll": 2.5, "wall_time": 3000.0}, 1000)
    assert caplog.messages == [
        "train 10/1000  nll 2.5",
        "train 20/1000  nll 2.5  49 min left",
        "train 1000/1000  nll 2.5",
        "valid 1000/1000  nll 2.5",
    ]
