"""The options of a dry run on the command line."""

import json

import pytest

from tests.tiny import make_corpus, tiny_config, write_config

ASSUME = "rows=64,seconds=2,source=4,target=5"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    options = tiny_config(make_corpus(folder / "corpus"))
    options["data"]["train"] = options["data"]["dev"] = "nowhere.tsv"
    return write_config(folder / "config.yaml", options)


def test_a_dry_run_on_assumed_rows(aista, config, tmp_path):
    arguments = ["--assume", ASSUME, "--processes", "1", "2", "--device", "a100", "--utilization", "0.5"]
    code, out, _ = aista("train", tmp_path / "run", "--config", config, "--dry-run", *arguments)
    assert code == 0
    assert "rows: assumed: 64 rows, on average 2 s, 4 transcript tokens and 5 target tokens" in out
    assert "DDP, 2 processes" in out
    assert "on one NVIDIA A100 80 GB SXM at 50% of its peak" in out
    assert list(tmp_path.iterdir()) == []


def test_json_alone_on_standard_output(aista, config, tmp_path):
    code, out, _ = aista("train", tmp_path / "run", "--config", config, "--dry-run", "--json", "--assume", ASSUME)
    assert code == 0
    assert json.loads(out)["cost"]["rows"]["count"] == 64


def test_a_dry_run_of_a_stage_trains_nothing(aista, config, tmp_path):
    stage = "pretraining=[{name: lm, task: text_translation, part: llm}]"
    arguments = ["--dry-run", "--stage", "lm", "--assume", ASSUME, "--processes", "1"]
    code, out, _ = aista("train", tmp_path / "run", "--config", config, stage, *arguments)
    assert code == 0
    assert "speech positions" not in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--dry-run", "--device", "h1000"],
            "--device: unknown 'h1000' (did you mean 'h100'?); known: h100, h200, a100",
        ),
        (["--dry-run", "--utilization", "40"], "--utilization: must be above 0 and at most 1, got 40"),
        (["--dry-run", "--utilization", "0"], "--utilization: must be above 0 and at most 1, got 0"),
        (["--dry-run", "--processes", "0"], "--processes: must be a whole number of at least 1, got '0'"),
        (["--dry-run", "--assume", "rows=3"], "--assume: seconds is missing"),
        (["--dry-run", "--stage", "lm"], "--stage: unknown stage 'lm'"),
        (["--device", "h100"], "--device is for --dry-run; add that, or leave --device out"),
        (["--dry-run"], "data.train: no such file: 'nowhere.tsv'"),
    ],
)
def test_what_is_refused(aista, config, tmp_path, arguments, message):
    code, out, err = aista("train", tmp_path / "run", "--config", config, *arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []
