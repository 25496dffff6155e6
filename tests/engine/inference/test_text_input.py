"""`aista evaluate --from-transcript` and `--transcripts`: transcripts take the speech's place, under another label."""

import json
import shutil

import pytest

from aista.cli.main import main
from aista.data.manifest import read_manifest, write_manifest
from aista.engine.inference.text_input import read_transcripts
from aista.engine.inference.trained_run import open_run
from aista.errors import DataError
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.paths import RunPaths
from tests.tiny import tiny_config, write_config

STEPS = {"max_steps": 4, "learning_rate": 5e-3, "log_every": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    """A text-translation run, and a speech-translation run of the same prompt, with the LLM of the first."""
    folder = tmp_path_factory.mktemp("text_input")
    config = tiny_config(corpus, trainer=STEPS, freeze_params=["llm"])
    text = {key: config[key] for key in ("tokenizer", "prompt", "llm", "trainer", "evaluation")}
    text |= {"task": "text_translation", "data": config["data"]}
    assert main(["train", str(folder / "lm"), "--config", str(write_config(folder / "lm.yaml", text))]) == 0
    config = write_config(folder / "st.yaml", config)
    assert main(["train", str(folder / "st"), "--config", str(config), f"initialize.llm={folder / 'lm'}"]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained / "st", tmp_path / "st")


def rows(run, label):
    return Evaluation.load(RunPaths(run), label).rows


def test_the_text_branch_translates_as_the_language_model_alone(trained, run, corpus, capsys):
    assert main(["evaluate", str(run)]) == 0
    speech = (run / "evaluation" / "test" / "hypotheses.tsv").read_bytes()
    assert main(["evaluate", str(run), "--from-transcript"]) == 0
    assert f"hypotheses and scores in {run / 'evaluation' / 'test_transcript'}" in capsys.readouterr().out
    assert (run / "evaluation" / "test" / "hypotheses.tsv").read_bytes() == speech
    lm = shutil.copytree(trained / "lm", run.parent / "lm")
    assert main(["evaluate", str(lm)]) == 0
    assert main(["evaluate", str(lm), "--from-transcript"]) == 0
    assert rows(run, "test_transcript") == rows(lm, "test_transcript") == rows(lm, "test")
    assert json.loads((run / "evaluation/test_transcript/scores.json").read_text())["input"] == "transcripts"
    assert main(["compare", str(lm), str(run), "--split", "test_transcript", "--samples", "50"]) == 0
    assert f"{run}: step_4 on test from transcripts" in capsys.readouterr().out.replace("\n", "")


def test_a_cascade_translates_what_was_recognised(run, corpus, tmp_path, monkeypatch, capsys):
    gold = {row.id: row.src_text for row in read_manifest(corpus / "test.tsv").rows}
    texts = gold | {"test0": "", "test1": gold["test2"]}
    file = tmp_path / "asr.tsv"
    file.write_text("id\tsplit\thyp\n" + "".join(f"{id}\ttest\t{text}\n" for id, text in texts.items()))
    decoded = []
    task = type(open_run(run).task)
    search = task.hypotheses

    def record(self, model, batch, generation, *, from_text=False):
        assert from_text, "decoded the speech"
        decoded.extend(batch.ids)
        return search(self, model, batch, generation, from_text=from_text)

    monkeypatch.setattr(task, "hypotheses", record)
    assert main(["evaluate", str(run), "--transcripts", str(file)]) == 0
    (label,) = (path.name for path in (run / "evaluation").glob("test_cascade-asr-*"))
    assert {row.id: row.src_text for row in rows(run, label)} == texts
    assert f"{file}: 1 of 8 transcripts are empty: test0" in capsys.readouterr().err
    assert sorted(decoded) == sorted(gold)
    assert Evaluation.load(RunPaths(run), label).source.input == str(file.resolve())
    file.write_text(file.read_text().replace("\ttest\t\n", "\ttest\tun\n"))
    assert main(["evaluate", str(run), "--transcripts", str(file)]) == 0
    assert len(list((run / "evaluation").glob("test_cascade-asr-*"))) == 2, "other contents have a label of their own"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\ttext\n" + "".join(f"test{n}\tx\n" for n in range(6)), "lacks 2 of 8: test6, test7; recognise them too"),
        ("id\ttranscript\n", "one of text, hyp, hypothesis, got id, transcript"),
        ("id\ttext\thyp\n", "one of text, hyp, hypothesis, got id, text, hyp"),
        (
            "id\ttext\n" + "".join(f"test{n}\tx <fr>\n" for n in range(8)),
            "must not write tokens that control the model",
        ),
    ],
)
def test_what_a_file_of_transcripts_lacks(run, tmp_path, capsys, text, message):
    (tmp_path / "asr.tsv").write_text(text)
    assert main(["evaluate", str(run), "--transcripts", str(tmp_path / "asr.tsv")]) == 2
    assert message in capsys.readouterr().err
    assert not (run / "evaluation").exists() or not list((run / "evaluation").glob("*/scores.json"))


def test_rows_without_a_transcript_are_named(run, corpus, tmp_path, capsys):
    bare = [row for row in read_manifest(corpus / "test.tsv").rows if row.id != "test3"]
    bare += [type(bare[0])("silent", bare[0].audio, bare[0].n_frames, "un")]
    shutil.copytree(corpus / "audio", tmp_path / "audio")
    write_manifest(tmp_path / "some.tsv", bare)
    assert main(["evaluate", str(run), "--split", str(tmp_path / "some.tsv"), "--from-transcript"]) == 2
    assert "lacks 1 of 8: silent; fill the column src_text" in capsys.readouterr().err


def test_what_transcripts_do_not_go_with(run, capsys):
    assert main(["evaluate", str(run), "--from-transcript", "--shuffled-speech"]) == 1
    assert "--shuffled-speech needs speech as input, not transcripts" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--from-transcript", "--transcripts", "asr.tsv"]) == 2
    assert "exclude each other; choose one of them" in capsys.readouterr().err


def test_a_run_that_translates_no_text_is_named(run, monkeypatch, capsys):
    monkeypatch.setattr(type(open_run(run).task), "translates_text", False)
    assert main(["evaluate", str(run), "--from-transcript"]) == 1
    assert f"{run}: a run of the task speech_translation translates no transcripts" in capsys.readouterr().err


def test_a_missing_evaluation_names_its_command(run):
    commands = {
        label: RunPaths(run).evaluate_command(label)
        for label in ("dev", "test_transcript", "test_cascade-asr-12345678")
    }
    assert commands == {
        "dev": f"aista evaluate {run} --split dev",
        "test_transcript": f"aista evaluate {run} --split test --from-transcript",
        "test_cascade-asr-12345678": f"aista evaluate {run} --split test --transcripts FILE",
    }


def test_hypotheses_of_an_evaluation_are_transcripts_too(tmp_path):
    file = tmp_path / "hypotheses.tsv"
    file.write_text("id\tsrc_text\treference\thypothesis\nu\ta\ta\tone\\\\two\n")
    assert read_transcripts(file) == {"u": "one\\two"}
    with pytest.raises(DataError, match="no such file"):
        read_transcripts(tmp_path / "gone.tsv")
