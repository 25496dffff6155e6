"""``aista report`` on small trained runs, as a user calls it."""

import json
import re
import shutil

import pytest

from aista.engine.inference.transport_plans import transport_plans
from aista.errors import DataError
from aista.runs.report_assembly import labelled
from tests.tiny import make_corpus, tiny_config, write_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from aista.cli.main import main

    folder = tmp_path_factory.mktemp("report")
    corpus = make_corpus(folder / "corpus")
    config = write_config(folder / "config.yaml", tiny_config(corpus))
    for run, changes in (("ce", ["alignment=[]"]), ("aista", [])):
        assert main(["train", str(folder / "runs" / run), "--config", str(config), *changes]) == 0
        assert main(["evaluate", str(folder / "runs" / run)]) == 0
    return folder


def data_of(path):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(found[1])


def test_two_runs_with_plans_audio_and_comparison(folder, aista, tmp_path):
    runs = [folder / "runs" / name for name in ("ce", "aista")]
    out = tmp_path / "page" / "report.html"
    code, printed, _ = aista("report", *runs, "--out", out, "--samples", 50, "--audio", 3, "--plans", 2)
    assert code == 0
    assert printed.splitlines() == [str(out), "  missing: retrieval: no run holds a probe; `aista probe RUN` makes one"]
    data = data_of(out)
    assert data["runs"] == ["ce", "aista"]
    assert len(data["utterances"]) == 8
    assert len(data["clips"]) == 3
    assert [(plan["run"], list(plan["layers"])) for plan in data["plans"]] == [
        (run, ["0", "1", "2"]) for run in (0, 0, 1, 1)
    ]
    assert {plan["id"] for plan in data["plans"]} == set(data["spectrograms"])
    html = out.read_text()
    assert "bs:50|seed:12345" in html
    assert "at most 3 (--audio)" in html
    assert "train SHA-256" in html


def test_a_single_run_without_checkpoint_says_so(folder, aista, tmp_path):
    run = tmp_path / "copy"
    shutil.copytree(folder / "runs" / "aista", run)
    shutil.rmtree(run / "checkpoints")
    code, printed, _ = aista("report", run, "--out", tmp_path / "report.html")
    assert code == 0
    assert "copy, transport plans: they need the checkpoint and the audio: " in printed
    assert data_of(tmp_path / "report.html")["plans"] == []
    assert "copy, transport plans" in (tmp_path / "report.html").read_text()


def test_plans_are_what_probe_writes(folder, aista):
    run = folder / "runs" / "aista"
    assert aista("probe", run, "--split", "test", "--name", "now", "--utterance", "test3")[0] == 0
    written = json.loads((run / "probe" / "now_plan.json").read_text())
    (plan,) = transport_plans(run, "test", ["test3"])
    assert (plan.id, list(plan.tokens), plan.shown) == ("test3", written["tokens"], written["layer"])
    assert plan.seconds_per_position == written["seconds_per_position"]
    flat = [mass for row in plan.layers[written["layer"]] for mass in row]
    assert flat == pytest.approx([mass for row in written["plan"] for mass in row], abs=1e-5)
    shutil.rmtree(run / "probe")
    with pytest.raises(DataError, match="no utterance 'nobody' with a transcript in the split test"):
        transport_plans(run, "test", ["nobody"])


@pytest.mark.parametrize("name", ["nowhere", "corpus"])
def test_a_wrong_folder_is_the_users_mistake(folder, aista, tmp_path, name):
    code, _, err = aista("report", folder / name, "--out", tmp_path / "report.html")
    assert code == 2
    assert f"{name}: not a run folder (no config.yaml); `aista train` makes one" in err
    assert not (tmp_path / "report.html").exists()


def test_a_folder_of_runs_names_them(folder, aista):
    code, _, err = aista("report", folder / "runs")
    assert code == 2
    assert f"it holds {folder}/runs/aista, {folder}/runs/ce: name those" in err


def test_options_out_of_range_are_named_together(folder, aista):
    code, _, err = aista("report", folder / "runs" / "ce", "--plans", -1, "--samples", 3)
    assert code == 2
    assert "--samples: must be at least 40, got 3" in err
    assert "--plans: must be at least 0, got -1" in err


def test_labels_tell_runs_apart(folder, tmp_path):
    for name in ("seed_1/ce", "seed_2/ce"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.yaml").write_text("{}")
    assert list(labelled([tmp_path / "seed_1/ce", tmp_path / "seed_2/ce"])) == ["seed_1/ce", "seed_2/ce"]
    assert list(labelled([tmp_path / "seed_2/ce"])) == ["ce"]
    with pytest.raises(DataError, match="given twice"):
        labelled([tmp_path / "seed_1/ce", tmp_path / "seed_2" / ".." / "seed_1/ce"])
