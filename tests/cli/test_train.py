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


def test_the_largest_batch_that_fits(aista, config, tmp_path):
    arguments = ["--dry-run", "--assume", ASSUME, "--fit", "0.01"]
    code, out, _ = aista("train", tmp_path / "run", "--config", config, "alignment=[]", *arguments)
    assert code == 0
    assert "0.01 GiB less 10% are 0.01" in out
    assert "put into the config (now 8):" in out
    assert list(tmp_path.iterdir()) == []


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
        (["--fit", "80"], "--fit is for --dry-run; add --dry-run, or leave out --fit"),
        (["--dry-run", "--fit", "0"], "--fit: must be a number from 0.001 to 1e+06, got '0'"),
        (["--dry-run", "--fit", "-3"], "--fit: must be a number from 0.001 to 1e+06, got '-3'"),
        (["--dry-run", "--fit", "nan"], "--fit: must be a number from 0.001 to 1e+06, got 'nan'"),
        (["--dry-run", "--fit", "80GB"], "--fit: must be a number from 0.001 to 1e+06, got '80GB'"),
        (
            ["--dry-run", "--fit", "80", "--device", "a100"],
            "--device affects only the time of a step, which --fit does not estimate",
        ),
        (["--dry-run", "--fit", "80", "--processes", "1", "8"], "--fit: plans for one number of processes, got 1 8"),
        (["--device", "h100"], "--device is for --dry-run; add --dry-run, or leave out --device"),
        (["--dry-run"], "data.train: no such file: 'nowhere.tsv'"),
    ],
)
def test_what_is_refused(aista, config, tmp_path, arguments, message):
    code, out, err = aista("train", tmp_path / "run", "--config", config, *arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []
