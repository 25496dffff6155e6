"""N-best lists and the repetition guard of `aista translate` and `aista evaluate`."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace

import pytest
import torch

import aista
from aista.cli.main import main
from aista.data.manifest import read_manifest, write_manifest
from aista.engine.inputs import whole_pass
from aista.errors import DataError
from aista.modules.llms.search import GenerationConfig
from aista.registry import build
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.paths import RunPaths
from aista.schema import resolve
from aista.scoring.bayes_risk import rank_by_utility
from aista.scoring.candidates import Candidate, read_candidates, write_candidates
from aista.scoring.comet_process import PYTHON_VARIABLE
from aista.scoring.utterance_inputs import UtteranceInputs
from aista.tasks.decoding import Decoder
from tests.finished import finish
from tests.scoring.fake_comet import make_interpreter, make_model
from tests.tiny import tiny_config


@pytest.fixture(scope="module")
def finished(tmp_path_factory, corpus):
    """A run whose random weights repeat themselves."""
    options = tiny_config(corpus)
    options["evaluation"] = {"batch_size": 3, "generation": {"beam_size": 3, "max_new_tokens": 8}}
    torch.manual_seed(1)
    return finish(tmp_path_factory.mktemp("n_best"), options)[0]


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def files(corpus):
    return [str(corpus / "audio" / f"test{index}.wav") for index in range(4)]


def translated(run, files, *arguments, capsys):
    capsys.readouterr()
    assert main(["translate", str(run), *files, "--format", "json", *arguments]) == 0
    return [record["segments"][0] for record in json.loads(capsys.readouterr().out)]


def record(run, label):
    return json.loads((run / "evaluation" / label / "scores.json").read_text())


def test_translate_lists_what_the_beam_found_best_first(run, files, capsys):
    plain = translated(run, files, capsys=capsys)
    assert all("n_best" not in segment for segment in plain)
    segments = translated(run, files, "--n-best", "3", capsys=capsys)
    assert [segment["text"] for segment in segments] == [segment["text"] for segment in plain]
    for segment in segments:
        found = segment["n_best"]
        assert found[0]["text"] == segment["text"]
        assert len(found) == 3
        assert [item["score"] for item in found] == sorted((item["score"] for item in found), reverse=True)
        for item in found:
            assert item["score"] == pytest.approx(item["log_probability"] / item["num_tokens"], abs=1e-5)
    two = translated(run, files, "--n-best", "2", capsys=capsys)
    assert [segment["n_best"] for segment in two] == [segment["n_best"][:2] for segment in segments]


def test_the_list_is_that_of_the_task_and_does_not_depend_on_the_batch(run, files):
    model = aista.load(run, device="cpu")
    together = [*model.stream(files, n_best=3)]
    for file, item in zip(files, together, strict=True):
        (alone,) = model.stream([file], n_best=3)
        assert [found.text for found in alone.n_best] == [found.text for found in item.n_best]
        assert [found.score for found in alone.n_best] == pytest.approx([found.score for found in item.n_best])


def test_evaluate_writes_the_list_beside_the_hypotheses(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    file = RunPaths(run).n_best_file("test")
    assert not file.exists()
    before = RunPaths(run).hypotheses_file("test").read_bytes()
    assert main(["evaluate", str(run), "--n-best", "2"]) == 0
    assert RunPaths(run).hypotheses_file("test").read_bytes() == before
    evaluation = Evaluation.load(RunPaths(run), "test")
    assert list(evaluation.n_best) == [row.id for row in evaluation.rows]
    assert [items[0].text for items in evaluation.n_best.values()] == [row.hypothesis for row in evaluation.rows]
    assert {len(items) for items in evaluation.n_best.values()} == {2}
    content = file.read_bytes()
    assert main(["evaluate", str(run), "--metric", "ter"]) == 0  # scored again
    assert main(["evaluate", str(run)]) == 0  # the same hypotheses
    assert file.read_bytes() == content
    file.write_bytes(content.replace(b"[", b"[ ", 1))
    with pytest.raises(Exception, match=r"n_best\.jsonl.*--n-best N`"):
        Evaluation.load(RunPaths(run), "test")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--n-best", "2"],
            "--n-best 2: only json lists several texts, got --format text; add --format json",
        ),
        (["--n-best", "0", "--format", "json"], "--n-best: must be a whole number of at least 1, got '0'"),
        (
            ["--n-best", "4", "--format", "json"],
            "--n-best 4: must be at most the beam size of the search, which is 3; lower it, or add --beam-size 4",
        ),
        (["--no-repeat-ngram", "-1"], "--no-repeat-ngram: must be at least 0, got -1"),
    ],
)
def test_what_cannot_be_listed_is_refused(run, files, capsys, arguments, message):
    assert main(["translate", str(run), *files, *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err.replace("\n", "")
    assert printed.out == ""


def test_a_task_that_does_not_search_has_no_list(run, monkeypatch, capsys):
    monkeypatch.setattr("aista.tasks.base.Task.searches", False)
    assert main(["evaluate", str(run), "--n-best", "2"]) == 2
    assert "--n-best 2: this run's task does not search" in capsys.readouterr().err.replace("\n", "")


def test_the_guard_says_how_many_rows_it_changed(run, files, capsys):
    assert main(["evaluate", str(run)]) == 0
    assert "no_repeat_ngram" not in capsys.readouterr().out
    assert "guarded_rows" not in record(run, "test")
    assert main(["evaluate", str(run), "--no-repeat-ngram", "1"]) == 0
    label = "test+no_repeat_ngram=1"
    changed = record(run, label)["guarded_rows"]
    assert changed > 0, "else the test shows nothing"
    assert f"no_repeat_ngram changed the search of {changed} of 8 utterances" in capsys.readouterr().out
    free, guarded = (Evaluation.load(RunPaths(run), name) for name in ("test", label))
    assert free.guarded_rows is None
    others = sum(one.hypothesis != two.hypothesis for one, two in zip(free.rows, guarded.rows, strict=True))
    assert others <= changed
    assert main(["evaluate", str(run), "--no-repeat-ngram", "1", "--metric", "ter"]) == 0
    assert record(run, label)["guarded_rows"] == changed
    capsys.readouterr()
    assert main(["translate", str(run), *files, "--no-repeat-ngram", "1"]) == 0
    printed = capsys.readouterr()
    assert "no_repeat_ngram changed the search of" in printed.err.replace("\n", " ")
    assert len(printed.out.splitlines()) == 4


def test_the_guard_is_an_option_of_the_run_too(corpus, tmp_path, files):
    options = tiny_config(corpus)
    options["evaluation"] = {"generation": {"beam_size": 1, "max_new_tokens": 8, "no_repeat_ngram": 1}}
    torch.manual_seed(1)
    model = aista.load(finish(tmp_path, options)[0], device="cpu")
    assert model.run.experiment.sections.evaluation.generation == GenerationConfig(
        beam_size=1, max_new_tokens=8, no_repeat_ngram=1
    )
    together = [*model.stream(files)]
    assert together == [model.translate(file) for file in files]


def test_lists_survive_the_file(tmp_path):
    rows = {"a": (Candidate("é \u2028\n\t", -0.5, -1.0, 2), Candidate("", -1.0, -1.0, 1)), "b": ()}
    write_candidates(tmp_path / "n_best.jsonl", rows)
    assert read_candidates(tmp_path / "n_best.jsonl") == rows


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "a"}', '{"id": "a", "hypotheses": [{"text": "x"}]}', '"a"'])
def test_a_malformed_list_names_its_line(tmp_path, line):
    file = tmp_path / "n_best.jsonl"
    file.write_text('{"id": "z", "hypotheses": []}\n' + line + "\n")
    with pytest.raises(DataError, match=r"n_best\.jsonl:2: malformed n-best list"):
        read_candidates(file)


def test_minimum_bayes_risk_is_that_of_the_list(run, capsys):
    """Evaluated under a label of its own; one candidate per text, ranked by the utility among what the search found."""
    assert main(["evaluate", str(run), "--n-best", "3"]) == 0
    assert main(["evaluate", str(run), "--n-best", "3", "--mbr", "chrf"]) == 0
    plain, risk = (Evaluation.load(RunPaths(run), label) for label in ("test", "test+mbr=chrf"))
    assert any(one.hypothesis != two.hypothesis for one, two in zip(plain.rows, risk.rows, strict=True))
    for row in risk.rows:
        found = risk.n_best[row.id]
        assert found[0].text == row.hypothesis
        assert [item.utility for item in found] == sorted((item.utility for item in found), reverse=True)
    again = RunPaths(run).evaluate_command("test+mbr=chrf")
    assert again == f"aista evaluate {run} --split test --mbr chrf"


def test_all_that_the_search_found_is_a_candidate(run):
    trained = aista.load(run, device="cpu").run
    batch = next(iter(whole_pass(trained.load_split("test"), 8)))
    generation = GenerationConfig(beam_size=5, max_new_tokens=8, mbr="chrf")
    hypotheses = trained.task.hypotheses(trained.model, batch, generation)
    decoded = Decoder(trained.experiment, trained.task, generation).decode(trained.model, batch)
    for found, item in zip(hypotheses, decoded, strict=True):
        texts = [trained.task.tokenizer.decode(hypothesis.ids) for hypothesis in found]
        listed = [
            Candidate(text, hypothesis.score(1.0), hypothesis.log_probability, hypothesis.num_tokens)
            for text, hypothesis in zip(texts, found, strict=True)
        ]
        assert [list(item.candidates)] == rank_by_utility([listed], build("metric", resolve("metric", "chrf")), 1.0)
        assert {candidate.text: candidate.count for candidate in item.candidates} == Counter(texts)
        assert item.text == item.candidates[0].text


def test_minimum_bayes_risk_does_not_depend_on_the_batch(run, files):
    model = aista.load(run, device="cpu")
    options = {"mbr": "chrf", "beam_size": 6, "n_best": 6}
    together = [*model.stream(files, **options)]
    for file, item in zip(files, together, strict=True):
        (alone,) = model.stream([file], **options)
        assert [found.text for found in alone.n_best] == [found.text for found in item.n_best]
        utilities = [[found.utility for found in one.n_best] for one in (alone, item)]
        assert utilities[0] == pytest.approx(utilities[1], abs=1e-3)


def test_other_options_of_the_utility_have_another_label(run, files, capsys):
    utility = "{name: chrf, scale: 0, config: {word_order: 2}}"
    assert main(["evaluate", str(run), "--mbr", utility]) == 0
    (label,) = RunPaths(run).evaluated_splits()
    assert re.fullmatch(r"test\+mbr=chrf-[0-9a-f]{8}", label)
    assert RunPaths(run).evaluate_command(label).endswith("--split test --mbr '{name: chrf, ...}'")
    segments = translated(run, files, "--n-best", "3", "--mbr", "wer", capsys=capsys)
    assert all({"count", "utility"} <= set(item) for segment in segments for item in segment["n_best"])
    assert segments[0]["n_best"][0]["utility"] <= 0


def test_the_run_s_own_utility_can_be_left_out(corpus, tmp_path, files, capsys):
    options = tiny_config(corpus)
    options["evaluation"] = {"generation": {"beam_size": 3, "max_new_tokens": 8, "mbr": "chrf"}}
    torch.manual_seed(1)
    run = finish(tmp_path, options)[0]
    assert main(["evaluate", str(run), "--split", "dev"]) == 0
    assert main(["evaluate", str(run), "--split", "dev", "--mbr", "none"]) == 0
    assert RunPaths(run).evaluated_splits() == ["dev", "dev+mbr=none"]
    assert main(["evaluate", str(run), "--split", "dev", "--sweep", "length_penalty=1,2"]) == 2
    assert "has no effect with mbr, which chooses by utility; add --mbr none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("utility", "message"),
    [
        ("chrff", "--mbr.name: unknown metric 'chrff' (did you mean 'chrf'?)"),
        ("{name: chrf, scale: -1}", "--mbr.scale: must be at least 0, got -1"),
        ("{name: chrf, config: {order: 2}}", "--mbr.config.order: unknown option"),
        ("{name: chrf", "--mbr: must be a name, or {name: ..., config: {...}}, got '{name: chrf'"),
    ],
)
def test_a_utility_that_cannot_be_is_refused(run, files, capsys, utility, message):
    assert main(["translate", str(run), *files, "--mbr", utility]) == 2
    assert message in capsys.readouterr().err.replace("\n", "")


def test_a_utility_that_needs_more_than_texts_is_refused(run, files, monkeypatch, capsys):
    monkeypatch.setattr("aista.scoring.metrics.chrf.Chrf.needs", ("source",))
    assert main(["translate", str(run), *files, "--mbr", "chrf"]) == 2
    message = "evaluation.generation.mbr: compares texts of a row with each other, but 'chrf' needs the source too"
    assert message in capsys.readouterr().err.replace("\n", "")


def test_evaluation_takes_a_utility_that_needs_the_source(run, tmp_path, monkeypatch):
    """COMET, in one call for all rows; each choice is that of the list by what the model says of its pairs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv(PYTHON_VARIABLE, str(make_interpreter(tmp_path / "env")))
    make_model(tmp_path / "tiny")
    utility = f"{{name: comet, config: {{model: {tmp_path / 'tiny'}}}}}"
    assert main(["evaluate", str(run), "--n-best", "3", "--mbr", utility]) == 0
    (label,) = RunPaths(run).evaluated_splits()
    risk = Evaluation.load(RunPaths(run), label)
    comet = build("metric", resolve("metric", {"name": "comet", "config": {"model": str(tmp_path / "tiny")}}))
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    for row in risk.rows:
        found = risk.n_best[row.id]
        assert found[0].text == row.hypothesis
        searched = [replace(item, utility=None) for item in sorted(found, key=lambda item: -item.score)]
        if all(item.count == 1 for item in found):  # else one text has the weight of several hypotheses
            (again,) = rank_by_utility([searched], comet, 1.0, UtteranceInputs(source=[row.src_text]))
            assert [item.text for item in again] == [item.text for item in found]


def test_rows_without_a_transcript_have_no_utility_that_needs_it(run, corpus, monkeypatch, capsys):
    monkeypatch.setattr("aista.scoring.metrics.chrf.Chrf.needs", ("source",))
    manifest = corpus / "untold.tsv"
    write_manifest(
        manifest, [replace(row, src_text="", word_times="") for row in read_manifest(corpus / "test.tsv").rows]
    )
    assert main(["evaluate", str(run), "--split", str(manifest), "--metric", "bleu", "--mbr", "chrf"]) == 2
    assert "mbr by chrf: needs the transcript of each utterance" in capsys.readouterr().err.replace("\n", " ")
