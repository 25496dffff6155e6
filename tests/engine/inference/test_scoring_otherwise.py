"""A trained run searched and scored in other ways than its config says."""

import json
import shutil
from dataclasses import replace

import pytest

from aista.cli.main import main
from aista.data.manifest import read_manifest, write_manifest
from aista.run_folder.contents import RunFolder
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.paths import RunPaths
from tests.scoring.copied import Copied, Heard
from tests.tiny import tiny_config, write_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("otherwise")
    trainer = {"max_steps": 12, "learning_rate": 5e-3, "log_every": 2}
    options = tiny_config(corpus, trainer=trainer) | {"evaluation": {"generation": {"beam_size": 4}}}
    config = write_config(folder / "config.yaml", options)
    assert main(["train", str(folder / "run"), "--config", str(config)]) == 0
    assert main(["evaluate", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def record(run, label):
    return json.loads((run / "evaluation" / label / "scores.json").read_text())


def names(run, label="test"):
    return [score["name"] for score in record(run, label)["scores"]]


def test_another_search_has_a_label_of_its_own(run, capsys):
    before = record(run, "test")
    label = "test+beam_size=1+length_penalty=0.5"
    command = ["evaluate", str(run), "--beam-size", "1", "--length-penalty", "0.5", "--max-new-tokens", "128"]
    assert main(command) == 0  # 128 is the run's
    assert record(run, "test") == before
    assert record(run, label)["sha256"] == before["sha256"]
    assert f"evaluation/{label}" in capsys.readouterr().out.replace("\n", "")
    assert main(["compare", str(run), str(run), "--split", label]) in (0, 1)  # a label names itself
    again = RunPaths(run).evaluate_command(label)
    assert again == f"aista evaluate {run} --split test --beam-size 1 --length-penalty 0.5"
    (run / "evaluation" / label / "scores.json").unlink()
    assert main(again.split()[1:]) == 0
    assert record(run, label)["hypotheses_sha256"]


def test_the_run_s_own_search_has_none(run):
    assert main(["evaluate", str(run), "--beam-size", "4"]) == 0
    assert RunPaths(run).evaluated_splits() == ["test"]


def test_another_metric_scores_the_hypotheses_that_are_there(run, monkeypatch, capsys):
    monkeypatch.setattr("aista.engine.inference.evaluate._decode", None)
    before = record(run, "test")
    assert main(["evaluate", str(run), "--metric", "wer", "--metric", "{name: chrf, config: {word_order: 2}}"]) == 0
    assert "scored again, not decoded again" in capsys.readouterr().err.replace("\n", " ")
    after = record(run, "test")
    assert names(run) == ["wer", "chrf", "bleu"]
    assert after["seconds"] == before["seconds"]
    assert after["hypotheses_sha256"] == before["hypotheses_sha256"]
    assert [score["signature"] for score in after["scores"] if score["name"] == "bleu"] == [
        score["signature"] for score in before["scores"] if score["name"] == "bleu"
    ]


def test_scores_of_other_metrics_stay_while_the_hypotheses_do(run):
    assert main(["evaluate", str(run), "--metric", "wer"]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert names(run) == ["bleu", "chrf", "wer"]
    hypotheses = run / "evaluation" / "test" / "hypotheses.tsv"
    hypotheses.unlink()  # nothing says what wer was of
    assert main(["evaluate", str(run)]) == 0
    assert names(run) == ["bleu", "chrf"]


def test_a_split_that_was_not_decoded_is(run):
    assert main(["evaluate", str(run), "--split", "dev", "--metric", "cer"]) == 0
    assert names(run, "dev") == ["cer"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beam-size", "0"], "--beam-size: must be at least 1, got 0"),
        (["--length-penalty", "nan"], "--length-penalty: expects a number, got nan"),
        (["--metric", "blue"], "--metric"),
        (["--metric", "{name: chrf, config: {order: 2}}"], "--metric.config.order"),
    ],
)
def test_what_cannot_be_is_refused_before_the_run_is_opened(run, arguments, message, capsys, monkeypatch):
    monkeypatch.setattr("aista.engine.inference.evaluate.open_run", None)
    assert main(["evaluate", str(run), *arguments]) == 2
    assert message in capsys.readouterr().err.replace("\n", "")
    assert names(run) == ["bleu", "chrf"]


def test_translate_takes_the_same_options(run, corpus, capsys):
    files = [str(corpus / "audio" / "test0.wav")]
    assert main(["translate", str(run), *files, "--max-new-tokens", "1"]) == 0
    assert len(capsys.readouterr().out.split()) <= 2
    assert main(["translate", str(run), *files, "--beam-size", "1001"]) == 2
    assert "--beam-size: must be at most 1000, got 1001" in capsys.readouterr().err


def test_a_metric_that_reads_the_source_is_given_it(run, corpus, clean_registry, tmp_path, capsys, monkeypatch):
    clean_registry.register("metric", "copied")(Copied)
    clean_registry.register("metric", "heard")(Heard)
    assert main(["evaluate", str(run), "--metric", "copied", "--metric", "heard"]) == 0
    assert names(run) == ["copied", "heard", "bleu", "chrf"]
    bare = tmp_path / "test.tsv"
    rows = read_manifest(corpus / "test.tsv").rows
    bare_rows = [
        replace(row, src_text=row.src_text if index > 2 else "", word_times="") for index, row in enumerate(rows)
    ]
    write_manifest(bare, [replace(row, audio=str(corpus / row.audio)) for row in bare_rows])
    monkeypatch.setattr("aista.engine.inference.evaluate._decode", None)  # it is said before hours of decoding
    assert main(["evaluate", str(run), "--split", str(bare), "--metric", "copied"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "copied: needs the transcript of each utterance, and 3 of 8 have none (first: utterance 1)" in error


def test_validation_gives_the_source_too(corpus, clean_registry, tmp_path):
    clean_registry.register("metric", "copied")(Copied)
    options = tiny_config(corpus, trainer={"max_steps": 2, "log_every": 1, "validate_every": 2, "checkpoint_every": 2})
    config = write_config(tmp_path / "config.yaml", options | {"evaluation": {"metrics": ["copied"]}})
    assert main(["train", str(tmp_path / "run"), "--config", str(config)]) == 0
    assert [row["copied"] for row in RunFolder(tmp_path / "run").metrics("valid")] == [0.0]


def test_hypotheses_are_exported_for_the_hearing_to_translate_suite(run, tmp_path, capsys, monkeypatch):
    ids = [f"test{number}" for number in (3, 0, *range(4, 8), 1, 2)]
    sample = {"dataset_id": "tones", "src_lang": "en", "tgt_lang": "fr"}
    manifest, out = tmp_path / "en-fr.jsonl", tmp_path / "out.jsonl"
    manifest.write_text("".join(json.dumps(sample | {"sample_id": id, "src_audio": "a.wav"}) + "\n" for id in ids))
    export = ["evaluate", str(run), "--metric", "chrf", "--export", "hearing2translate", str(manifest), str(out)]
    assert main(export) == 0
    assert f"written: {out}, 8 outputs in the order of {manifest}" in capsys.readouterr().out.replace("\n", "")
    hypotheses = {row.id: row.hypothesis for row in RunFolder(run).evaluation("test").rows}
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines == [sample | {"sample_id": id, "output": hypotheses[id]} for id in ids]
    monkeypatch.setattr("aista.engine.inference.evaluate.open_run", None)  # what is wrong is found before
    assert main([*export[:-1], "/proc/none/out.jsonl"]) == 1
    assert main([*export[:-3], "other", str(manifest), str(out)]) == 2
    assert "--export: must name hearing2translate, MANIFEST and OUT, got 'other'" in capsys.readouterr().err


def test_a_sweep_ranks_one_search_as_searches_anew_do(run, monkeypatch, capsys):
    exponents = ("-2", "0", "0.6", "1.4", "4")
    assert main(["evaluate", str(run), "--split", "dev", "--sweep", f"length_penalty={','.join(exponents)}"]) == 0
    printed = capsys.readouterr().out
    sweep = record(run, "dev")["length_sweep"]
    assert sweep["own"] == 1.0
    assert [point["length_penalty"] for point in sweep["points"]] == [-2, 0, 0.6, 1, 1.4, 4]
    assert f"evaluation: {{generation: {{length_penalty: {sweep['best']:g}}}}}" in printed
    assert max(point["scores"][0]["value"] for point in sweep["points"]) == next(
        point["scores"][0]["value"] for point in sweep["points"] if point["length_penalty"] == sweep["best"]
    )
    own = Evaluation.load(RunPaths(run), "dev")
    for point in sweep["points"]:
        if point["length_penalty"] == 1:
            assert point["changed_rows"] == 0
            continue
        exponent = float(point["length_penalty"])
        assert main(["evaluate", str(run), "--split", "dev", "--length-penalty", str(exponent)]) == 0
        anew = Evaluation.load(RunPaths(run), f"dev+length_penalty={exponent}")
        assert [score.value for score in anew.scores] == [score["value"] for score in point["scores"]]
        changed = sum(one.hypothesis != two.hypothesis for one, two in zip(own.rows, anew.rows, strict=True))
        assert changed == point["changed_rows"]
    assert len({point["mean_tokens"] for point in sweep["points"]}) > 1, "else the test shows nothing"
    assert main(["evaluate", str(run), "--split", "dev"]) == 0
    assert record(run, "dev")["length_sweep"] == sweep, "the same hypotheses keep it"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep", "length_penalty=1"], "chosen on test is fitted to it; add --split dev"),
        (["--sweep", "beam_size=1,2"], "--sweep: must be length_penalty=NUMBER,NUMBER,..., got 'beam_size=1,2'"),
        (["--sweep", "length_penalty="], "--sweep: must be length_penalty=NUMBER,NUMBER,..., got 'length_penalty='"),
        (["--sweep", "length_penalty=1,99"], "length_penalty: must be at most 10, got 99"),
        (["--sweep", "length_penalty=nan"], "length_penalty: expects a number, got nan"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(run, arguments, message, capsys):
    assert main(["evaluate", str(run), *arguments]) == 2
    assert message in capsys.readouterr().err.replace("\n", "")
