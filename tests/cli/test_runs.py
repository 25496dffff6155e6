import json
import shutil

import pytest

from aista.locks import locked
from aista.run_folder.paths import RunPaths
from tests.written_runs import write_run


@pytest.fixture
def folder(tmp_path):
    """Two runs, one with a stage within, and an ablation of four."""
    config = "trainer: {max_steps: 200}\nevaluation: {score: bleu}\n"
    (write_run(tmp_path / "group/ce_only") / "config.yaml").write_text(config)
    shutil.copytree(tmp_path / "group/ce_only", tmp_path / "whole")
    for stage in ("lm", "ctc"):
        shutil.copytree(tmp_path / "group/ce_only", tmp_path / "whole/pretraining" / stage)
    (tmp_path / "whole/pretraining/ctc/timing.json").unlink()
    (tmp_path / "group/ce_only/engine").mkdir()
    (tmp_path / "group/ce_only/engine/config.yaml").write_text("{}")  # fairseq2's own, no run
    ablation = tmp_path / "abl"
    shutil.copytree(tmp_path / "group/ce_only", ablation / "runs/aa")
    names = {"aa": "base", "bb": "ot", "cc": "mse", "dd": "ctc"}
    runs = [{"name": name, "seed": 1, "folder": f"runs/{hash}"} for hash, name in names.items()]
    (ablation / "runs.json").write_text(json.dumps(runs))
    (ablation / "jobs").mkdir()
    (ablation / "jobs/bb.failure").write_text("no such file: 'x'\n")
    return tmp_path


def test_every_run_has_a_line(aista, folder):
    with locked(folder / "abl/jobs/dd.lock", folder):
        code, out, err = aista("runs", folder)
    assert (code, err) == (0, "")
    lines = [line.split("  ") for line in out.splitlines()]
    assert lines[0] == ["7 runs: 3 finished, 1 running, 1 waiting, 1 failed, 1 stopped"]
    states = {line[0].strip(): next(cell.strip() for cell in line[1:] if cell) for line in lines[3:-1]}
    assert states == {
        "abl/base, seed 1": "finished",
        "abl/ctc, seed 1": "running",
        "abl/mse, seed 1": "waiting",
        "abl/ot, seed 1": "failed",
        "group/ce_only": "finished",
        "whole": "finished",
        "whole/pretraining/ctc": "stopped",
    }
    assert lines[-1] == ["abl/ot, seed 1: no such file: 'x'"]
    assert "200/200" in out
    assert "BLEU 40.0" in out


def test_the_same_as_json(aista, folder):
    runs = {run["name"]: run for run in json.loads(aista("runs", folder, "--json")[1])}
    assert len(runs) == 7
    assert runs["whole"] | {"best": None} == {
        "name": "whole",
        "folder": str(folder / "whole"),
        "state": "finished",
        "step": 200,
        "max_steps": 200,
        "best": None,
        "scores": {"test": {"bleu": 40.0}},
        "seconds_left": None,
        "problem": "",
    }


def test_a_run_itself_can_be_named(aista, folder):
    assert "\nwhole " in aista("runs", folder / "whole")[1]


@pytest.mark.parametrize(("name", "message"), [("nowhere", "no such folder"), ("abl/jobs", "no run folder lies in it")])
def test_mistakes(aista, folder, name, message):
    code, _, err = aista("runs", folder / name)
    assert code == 1
    assert message in err


def test_one_damaged_run_hides_no_other(aista, folder):
    RunPaths(folder / "whole").metrics_file("train").write_text("{}\n")
    code, out, _ = aista("runs", folder)
    assert code == 0
    assert f"whole: {folder}/whole/metrics/train.jsonl" in out
    assert "group/ce_only" in out
