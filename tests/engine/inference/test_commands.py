"""The commands on one small trained run, as a user calls them."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest

from aista.cli.main import main
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.paths import RunPaths
from aista.scoring.hypotheses import HypothesisRow
from tests.tiny import tiny_config, write_config


@pytest.fixture(scope="module")
def runs(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("commands")
    options = tiny_config(
        corpus, trainer={"max_steps": 12, "learning_rate": 5e-3, "log_every": 2, "checkpoint_every": 4}
    )
    config = write_config(folder / "config.yaml", options | {"corpus_note": "tones"})
    assert main(["train", str(folder / "aista"), "--config", str(config)]) == 0
    assert main(["train", str(folder / "ce"), "--config", str(config), "alignment=[]"]) == 0
    for run in ("aista", "ce"):
        assert main(["evaluate", str(folder / run)]) == 0
    return folder


def test_evaluate_writes_hypotheses_and_signed_scores(runs, capsys):
    assert main(["evaluate", str(runs / "aista"), "--split", "dev", "--batch-size", "3", "--checkpoint", "last"]) == 0
    printed = capsys.readouterr().out
    scores = json.loads((runs / "aista" / "evaluation" / "dev" / "scores.json").read_text())
    assert [score["name"] for score in scores["scores"]] == ["bleu", "chrf"]
    assert "tok:13a" in printed
    assert scores["note"] == "tones"
    assert len((runs / "aista" / "evaluation" / "dev" / "hypotheses.tsv").read_text().splitlines()) == 9


def scores(run, label):
    return json.loads((run / "evaluation" / label / "scores.json").read_text())


@pytest.fixture
def manifest(corpus, tmp_path):
    """Another test.tsv: the dev set's rows, from another folder."""
    (tmp_path / "other").mkdir()
    path = tmp_path / "other" / "test.tsv"
    path.write_text((corpus / "dev.tsv").read_text().replace("audio/", f"{corpus}/audio/"))
    return path


def test_another_manifest_of_the_same_name_has_a_folder_of_its_own(runs, manifest, corpus, tmp_path, capsys):
    run = shutil.copytree(runs / "aista", tmp_path / "run")
    before = scores(run, "test")
    assert before["manifest"] == str((corpus / "test.tsv").resolve())
    assert before["sha256"] == hashlib.sha256((corpus / "test.tsv").read_bytes()).hexdigest()
    assert main(["evaluate", str(run), "--split", str(manifest)]) == 0
    assert scores(run, "test") == before
    (label,) = (path.name for path in (run / "evaluation").glob("test-*"))
    ids = [line.split("\t")[0] for line in (run / "evaluation" / label / "hypotheses.tsv").read_text().splitlines()]
    assert ids == ["id", *(f"dev{index}" for index in range(8))]
    assert f"hypotheses and scores in {run / 'evaluation' / label}" in capsys.readouterr().out
    copy = shutil.copytree(run, tmp_path / "copy")
    for split in (label, str(manifest)):
        assert main(["compare", str(run), str(copy), "--samples", "50", "--split", split]) == 0


def test_a_manifest_that_changed_does_not_replace_the_results_of_before(runs, manifest, tmp_path, capsys):
    run = shutil.copytree(runs / "ce", tmp_path / "run")
    assert main(["evaluate", str(run), "--split", str(manifest)]) == 0
    (label,) = (path.name for path in (run / "evaluation").glob("test-*"))
    before = scores(run, label)
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:-1]))
    assert main(["evaluate", str(run), "--split", str(manifest)]) == 1
    error = capsys.readouterr().err
    assert f"{run / 'evaluation' / label}: holds the results of step_12" in error
    assert scores(run, label) == before
    (run / "evaluation" / label / "scores.json").write_text("{")  # damaged: no results that could be lost
    assert main(["evaluate", str(run), "--split", str(manifest)]) == 0
    assert scores(run, label)["num_utterances"] == 7


def test_results_of_a_folder_written_before_manifests_were_recorded(runs, tmp_path, capsys):
    run = shutil.copytree(runs / "ce", tmp_path / "run")
    file = run / "evaluation" / "test" / "scores.json"
    old = {key: value for key, value in scores(run, "test").items() if key not in ("manifest", "sha256", "checksum")}
    file.write_text(json.dumps(old | {"split": "other/test.tsv"}))
    assert main(["compare", str(runs / "ce"), str(run), "--samples", "50"]) == 0
    assert "run: step_12 on other/test.tsv" in capsys.readouterr().out
    assert main(["evaluate", str(run)]) == 1
    assert "holds the results of step_12 on other/test.tsv" in capsys.readouterr().err
    file.write_text(json.dumps(old))
    assert main(["evaluate", str(run)]) == 0
    assert scores(run, "test")["sha256"]


def test_batch_size_does_not_change_hypotheses(runs):
    main(["evaluate", str(runs / "aista"), "--split", "test", "--batch-size", "8"])
    together = (runs / "aista" / "evaluation" / "test" / "hypotheses.tsv").read_text()
    main(["evaluate", str(runs / "aista"), "--split", "test", "--batch-size", "1"])
    assert (runs / "aista" / "evaluation" / "test" / "hypotheses.tsv").read_text() == together


def test_compare_prints_p_values_and_signatures(runs, capsys):
    assert main(["compare", str(runs / "ce"), str(runs / "aista"), "--samples", "50"]) == 0
    printed = capsys.readouterr().out
    assert "bs:50|seed:12345" in printed


def test_compare_shows_groups_and_subsets_and_writes_them(runs, tmp_path, capsys):
    baseline, aligned = str(runs / "ce"), str(runs / "aista")
    (tmp_path / "ids").write_text("test0\ntest1\ntest2\nof_another_split\n")
    out = tmp_path / "comparison.json"
    command = ["compare", baseline, aligned, "--samples", "50", "--by", "speaker", "--subset", str(tmp_path / "ids")]
    assert main([*command, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "3 utterances of" in printed.replace("\n", " ")
    ignored = "1 of 4 ids of the subset are not among the evaluated utterances and were ignored: of_another_split"
    assert ignored in printed.replace("\n", " ")
    assert "By speaker" in printed
    record = json.loads(out.read_text())
    assert record["num_utterances"] == 3
    assert [(row["group"], row["num_utterances"]) for row in record["groups"]] == [("tone", 3), ("tone", 3)]
    assert main(["compare", f"{aligned}@test", "--by", "speaker"]) == 0
    assert "bs:" not in capsys.readouterr().out
    assert main(["evaluate", aligned, "--split", "dev"]) == 0
    assert main(["compare", f"{aligned}@dev"]) == 0
    assert "Split dev" in capsys.readouterr().out
    assert main(["compare", baseline, aligned, "--out", str(tmp_path / "ids" / "x.json")]) == 1
    refused = capsys.readouterr()
    assert (refused.out, "Not a directory" in refused.err) == ("", True)
    assert main(["compare", baseline, f"{aligned}@dev_transcript", "--samples", "50"]) == 1
    assert f"aista evaluate {aligned} --split dev --from-transcript" in capsys.readouterr().err.replace("\n", "")
    assert main(["compare", baseline, aligned, "--by", "colour"]) == 2
    assert "has no column 'colour'" in capsys.readouterr().err


def test_compare_names_what_it_cannot_find(runs, capsys):
    run = str(runs / "aista")
    assert main(["compare", f"{run}@nothing"]) == 1
    printed = capsys.readouterr().err
    assert "missing; evaluations of this run: " in printed
    assert "test" in printed.split("evaluations of this run: ")[1].split(";")[0].split(", ")
    assert main(["compare", f"{run}@"]) == 2
    assert f"must name an evaluation after @, such as {run}@test" in capsys.readouterr().err
    assert main(["compare", run, run]) == 1
    assert f"at least two different runs, got {run}; name another run" in capsys.readouterr().err


def test_compare_shows_labels_in_full_on_a_narrow_terminal(runs, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["compare", str(runs / "ce"), str(runs / "aista"), "--samples", "50"]) == 0
    assert "…" not in capsys.readouterr().out


def test_the_nll_is_measured_with_shuffled_speech_too(runs, capsys):
    assert main(["evaluate", str(runs / "aista"), "--shuffled-speech", "--batch-size", "4"]) == 0
    printed = capsys.readouterr().out
    found = json.loads((runs / "aista" / "evaluation" / "test" / "scores.json").read_text())["shuffled_speech"]
    assert found["num_rows"] == 8
    assert main(["evaluate", str(runs / "aista")]) == 0  # the same checkpoint and manifest: the measure stays
    assert scores(runs / "aista", "test")["shuffled_speech"] == found
    assert found["gain"] == pytest.approx(found["nll_shuffled_speech"] - found["nll"])
    assert f"{found['nll']:.3f} nats per token with the right speech" in printed
    capsys.readouterr()
    assert main(["evaluate", str(runs / "aista"), "--shuffled-speech", "--batch-size", "1"]) == 1
    assert "batches of at least two rows; raise --batch-size" in capsys.readouterr().err


def test_compare_and_evaluate_warn_of_a_system_that_says_one_thing(runs, tmp_path, capsys, caplog):
    references = [f"r{number}" for number in range(40)]
    for label, answers in (("deaf", ["x", "x"] * 20), ("fine", references)):
        run = RunPaths(shutil.copytree(runs / "ce", tmp_path / label))
        rows = [
            HypothesisRow(reference, "", reference, answer)
            for reference, answer in zip(references, answers, strict=True)
        ]
        replace(Evaluation.load(run, "test"), rows=tuple(rows)).save(run)
    assert main(["compare", str(tmp_path / "deaf"), str(tmp_path / "fine"), "--samples", "50"]) == 0
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WARNING")]
    assert len(warnings) == 1
    assert "deaf: 1 different hypotheses for 40 utterances" in warnings[0]


def test_compare_says_whose_training_is_not_complete(runs, tmp_path, capsys):
    stopped = shutil.copytree(runs / "ce", tmp_path / "stopped")
    (stopped / "timing.json").unlink()
    assert main(["compare", str(runs / "ce"), str(stopped), "--samples", "50"]) == 0
    assert f"WARNING: {stopped}: its training is not complete" in capsys.readouterr().out.splitlines()


def test_compare_needs_evaluated_runs(runs, capsys):
    assert main(["compare", str(runs / "ce"), str(runs / "aista"), "--split", "dev2"]) == 1
    assert "aista evaluate" in capsys.readouterr().err


def test_translate_prints_a_line_per_file(runs, corpus, capsys):
    files = [str(corpus / "audio" / f"test{index}.wav") for index in range(3)]
    assert main(["translate", str(runs / "aista"), *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == files
    hypotheses = (runs / "aista" / "evaluation" / "test" / "hypotheses.tsv").read_text().splitlines()[1:4]
    assert [line.split("\t")[1] for line in lines] == [line.split("\t")[3] for line in hypotheses]


def test_translate_names_a_missing_file(runs, capsys):
    assert main(["translate", str(runs / "aista"), "nowhere.wav"]) == 1
    assert "aista: nowhere.wav: no such file" in capsys.readouterr().err


def test_probe_draws_the_curve_and_a_plan(runs, capsys):
    assert main(["probe", str(runs / "aista"), "--name", "now"]) == 0
    folder = runs / "aista" / "probe"
    pictures = {"now.png", "now_measures.png", "now_plan.png"}
    assert {"now.json", "now.csv", "now_plan.json"} | pictures == {path.name for path in folder.iterdir()}
    curve = json.loads((folder / "now.json").read_text())["curve"]
    assert [layer["layer"] for layer in curve["layers"]] == [0, 1, 2]
    for name, found in curve["layers"][1]["measures"].items():
        if found["low"] is not None:
            assert found["low"] <= found["high"], name
    lines = (folder / "now.csv").read_text().splitlines()
    assert lines[0] == "step,layer,measure,value,low,high"
    assert len(lines) == 1 + sum(len(layer["measures"]) for layer in curve["layers"])
    assert "95 % intervals of 1000 resamples" in " ".join(capsys.readouterr().out.split())
    plan = json.loads((folder / "now_plan.json").read_text())
    assert sum(map(sum, plan["plan"])) == pytest.approx(1, abs=1e-2)


def test_probe_of_every_checkpoint_shows_how_the_curves_move(tmp_path, corpus, capsys):
    options = tiny_config(
        corpus,
        trainer={"max_steps": 12, "learning_rate": 5e-3, "log_every": 2, "checkpoint_every": 4, "keep_last": 3},
    )
    run = tmp_path / "run"
    assert main(["train", str(run), "--config", str(write_config(tmp_path / "config.yaml", options))]) == 0
    assert main(["probe", str(run), "--all-checkpoints", "--resamples", "50"]) == 0
    assert {"dev_checkpoints.csv", "dev_checkpoints.png"} <= {path.name for path in (run / "probe").iterdir()}
    steps = {line.split(",")[0] for line in (run / "probe" / "dev_checkpoints.csv").read_text().splitlines()[1:]}
    assert steps == {"4", "8", "12"}
    assert main(["probe", str(run), "--checkpoint", "8", "--name", "alone", "--resamples", "50"]) == 0
    together, alone = (json.loads((run / "probe" / f"{name}.json").read_text()) for name in ("dev_step_8", "alone"))
    assert together == alone
    assert main(["evaluate", str(run), "--split", "dev"]) == 0
    best = scores(run, "dev")["checkpoint"]
    other = next(step for step in ("4", "8", "12") if best != f"step_{step}")
    assert main(["evaluate", str(run), "--split", "dev", "--checkpoint", other]) == 0
    assert scores(run, "dev")["checkpoint"] == best
    assert scores(run, f"dev_step_{other}")["checkpoint"] == f"step_{other}"
    for taken, names in ((["--checkpoint", "4"], "step_8 on dev"), (["--split", "test", "--checkpoint", "8"], "test")):
        assert main(["probe", str(run), *taken, "--name", "alone"]) == 1
        assert names in capsys.readouterr().err
    assert json.loads((run / "probe" / "alone.json").read_text()) == alone
    assert main(["probe", str(run), "--all-checkpoints", "--checkpoint", "8"]) == 2
    assert "--all-checkpoints: takes no --checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "x_plan"])
def test_a_probe_has_a_plain_name(runs, capsys, name):
    assert main(["probe", str(runs / "aista"), "--name", name]) == 2
    assert "--name: must be a file name" in capsys.readouterr().err


def test_an_unknown_checkpoint_lists_those_there_are(runs, capsys):
    assert main(["evaluate", str(runs / "aista"), "--checkpoint", "7"]) == 1
    assert "no checkpoint '7'; it has steps 12" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_an_error(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path)]) == 1
    assert "not a run folder" in capsys.readouterr().err


def test_three_mistakes_print_three_lines_and_exit_with_2(tmp_path, corpus, capsys):
    config = write_config(tmp_path / "config.yaml", tiny_config(corpus))
    mistakes = ["trainer.max_stepz=3", "encoder=conformr", "data.batch_size=0"]
    assert main(["train", str(tmp_path / "run"), "--config", str(config), *mistakes]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 3
    assert not (tmp_path / "run").exists()


def test_bad_rows_stop_training_unless_they_may_be_dropped(tmp_path, corpus, capsys):
    broken = tmp_path / "corpus"
    shutil.copytree(corpus, broken)
    (broken / "audio" / "train3.wav").write_bytes(b"not audio")
    (broken / "audio" / "train5.wav").unlink()
    config = write_config(tmp_path / "config.yaml", tiny_config(broken))
    assert main(["train", str(tmp_path / "run"), "--config", str(config)]) == 2
    message = capsys.readouterr().err
    assert "undecodable: 1" in message
    assert "missing file: 1" in message
    assert not (tmp_path / "run").exists()
    assert main(["train", str(tmp_path / "run"), "--config", str(config), "data.on_bad_rows=drop"]) == 0
    report = json.loads((tmp_path / "run" / "data.json").read_text())
    assert next(iter(report["train"].values()))["counts"]["bad"] == 2


@pytest.mark.usefixtures("clean_registry")
def test_a_third_party_loss_outside_the_package_trains(tmp_path, corpus):
    shutil.copy("examples/ot_solver.py", tmp_path / "mine.py")
    alignment = [{"name": "ot", "weight": 0.1, "config": {"solver": {"name": "my_ot_solver"}}}]
    options = tiny_config(corpus, alignment=alignment, plugins=["./mine.py"])
    config = write_config(tmp_path / "config.yaml", options)
    assert main(["train", str(tmp_path / "run"), "--config", str(config)]) == 0
    assert main(["evaluate", str(tmp_path / "run")]) == 0
