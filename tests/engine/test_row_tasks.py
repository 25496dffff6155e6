"""One model trained on several tasks and languages of the same rows, and evaluated on each."""

import json
from dataclasses import replace

import pytest

from aista.cli.main import main
from aista.data.manifest import read_manifest, write_manifest
from aista.engine.batch_plan import training_loader
from aista.engine.inputs import load_training_splits
from aista.engine.stream_data import open_stream
from aista.errors import ConfigError, DataError
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.paths import RunPaths
from aista.scoring.candidates import Candidate
from aista.tasks.decoding import Decoded
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task, preflight
from tests.tiny import tiny_config, write_config

MARKER = "chien"  # a word, since the tiny tokenizer knows no symbol; no translation is split elsewhere in these tests
PROMPTS = {"asr": ["{speech}", "red {speech}"], "cot": "<fr>{speech}<fr>"}


PROBED = {"layer_selection": {"name": "retrieval", "config": {"warmup_steps": 1, "probe_size": 4}}}


def config_of(corpus, *, prompts=PROMPTS, **data):
    options = tiny_config(corpus, prompts=prompts)
    options["data"] |= {"tasks": ["st", "asr", "mt", "cot"], "source_language": "en", "cot_marker": MARKER} | data
    return options


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("tasks")
    options = config_of(corpus, mix={"by": "task", "weights": {"asr": 0.5}})
    assert main(["train", str(folder / "run"), "--config", str(write_config(folder / "config.yaml", options))]) == 0
    return folder / "run"


def load(folder, options):
    return load_experiment(write_config(folder / "config.yaml", options))


def batches(experiment):
    splits = load_training_splits(experiment, build_task(experiment))
    with training_loader(splits["train"], experiment, 0, 1) as loader:
        return list(loader)


def test_batches_mix_tasks_and_each_row_has_its_prompt(tmp_path, corpus):
    found = batches(load(tmp_path, config_of(corpus)))
    counts = dict.fromkeys(("st", "asr", "mt", "cot"), 0)
    tokenizer = build_task(load(tmp_path, config_of(corpus))).tokenizer
    heads = set()
    for batch in found:
        for index, task in enumerate(batch.tasks):
            counts[task] += 1
            assert (batch.audio_lengths[index] == 0) == (task == "mt")
            length = int(batch.prompts.head_lengths[index])
            heads.add((task, tokenizer.decode(batch.prompts.head[index, :length].tolist())))
            if task == "asr":
                assert batch.target_text[index] == batch.source_text[index]
            if task == "cot":
                assert batch.target_text[index].startswith(f"{batch.source_text[index]} {MARKER} ")
    assert counts == dict.fromkeys(counts, 24)
    assert {("asr", ""), ("asr", "red")} <= heads  # both wordings were drawn
    again = batches(load(tmp_path, config_of(corpus)))
    assert [batch.ids for batch in again] == [batch.ids for batch in found]
    assert all(bool((a.prompts.head == b.prompts.head).all()) for a, b in zip(again, found, strict=True))


def test_training_logs_each_task_and_shares_follow_the_mix(trained):
    lines = [json.loads(line) for line in (trained / "metrics" / "train.jsonl").read_text().splitlines()]
    assert {"nll", "nll_st", "nll_asr", "nll_mt", "nll_cot"} <= set().union(*lines)
    train = json.loads((trained / "data.json").read_text())["train"]
    assert next(iter(train.values()))["tasks"] == {"st": 24, "asr": 24, "mt": 24, "cot": 24}


@pytest.mark.parametrize(
    ("task", "label", "metrics"),
    [
        ([], "test", ["bleu", "chrf"]),
        (["--task", "asr"], "test+task=asr", ["wer", "cer"]),
        (["--task", "mt"], "test+task=mt", ["bleu", "chrf"]),
        (["--from-transcript"], "test_transcript", ["bleu", "chrf"]),
    ],
)
def test_each_task_is_evaluated_under_its_own_label(trained, corpus, task, label, metrics):
    assert main(["evaluate", str(trained), *task]) == 0
    evaluation = Evaluation.load(RunPaths(trained), label)
    assert [score.name for score in evaluation.scores] == metrics
    rows = {row.id: row for row in read_manifest(corpus / "test.tsv").rows}
    column = "src_text" if "asr" in task else "tgt_text"
    assert {row.id: row.reference for row in evaluation.rows} == {id: getattr(rows[id], column) for id in rows}


def test_a_chain_of_thought_is_scored_in_both_halves(trained, corpus, monkeypatch):
    def decode(self, model, batch, *, from_text, languages):
        return [Decoded(f"{said} {MARKER} {said}" if index else said) for index, said in enumerate(batch.source_text)]

    monkeypatch.setattr("aista.tasks.decoding.Decoder.decode", decode)
    assert main(["evaluate", str(trained), "--task", "cot"]) == 0
    translations = Evaluation.load(RunPaths(trained), "test+task=cot")
    transcripts = Evaluation.load(RunPaths(trained), "test+task=cot+part=transcript")
    rows = {row.id: row for row in read_manifest(corpus / "test.tsv").rows}
    assert [score.name for score in transcripts.scores] == ["wer", "cer"]
    assert transcripts.scores[0].value == 0
    assert all(row.reference == rows[row.id].tgt_text for row in translations.rows)
    assert sum(not row.hypothesis for row in translations.rows) > 0  # those without a marker
    assert all(row.hypothesis in ("", rows[row.id].src_text) for row in translations.rows)


def test_another_task_than_the_run_s_is_refused(tmp_path, trained, capsys):
    options = ["--task", "cot", "--from-transcript"]
    assert main(["evaluate", str(trained), *options]) == 1
    assert "translate texts, which the run was not trained on for cot" in capsys.readouterr().err.replace("\n", " ")


def test_two_texts_in_one_are_not_judged_as_a_translation(trained, monkeypatch, capsys):
    monkeypatch.setattr("aista.scoring.metrics.chrf.Chrf.needs", ("source",))
    assert main(["evaluate", str(trained), "--task", "cot", "--metric", "bleu", "--mbr", "chrf"]) == 2
    assert "outputs of cot are two texts in one" in capsys.readouterr().err.replace("\n", " ")


def test_directions_are_scored_apart_and_averaged(tmp_path, corpus, capsys):
    rows = read_manifest(corpus / "test.tsv").rows
    for split in ("train", "test"):
        rows = read_manifest(corpus / f"{split}.tsv").rows
        write_manifest(
            tmp_path / f"{split}.tsv",
            [
                replace(row, audio=str(corpus / row.audio), tgt_lang="de" if index % 2 else "fr")
                for index, row in enumerate(rows)
            ],
        )
    data = {
        "train": str(tmp_path / "train.tsv"),
        "test": str(tmp_path / "test.tsv"),
        "dev": None,
        "tasks": ["st", "asr"],
    }
    options = config_of(corpus, prompts={"asr": "{speech}"}, target_language="", **data)
    options |= {"prompt": "{tgt_lang}{speech}", "alignment": []}
    options["evaluation"] |= {"metrics": ["chrf"], "score": "loss"}
    run = tmp_path / "run"
    assert main(["train", str(run), "--config", str(write_config(tmp_path / "config.yaml", options))]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run)]) == 0
    evaluation = Evaluation.load(RunPaths(run), "test")
    assert sorted(evaluation.directions) == ["en-de", "en-fr"]
    parts = [scores[0].value for scores in evaluation.directions.values()]
    assert evaluation.scores[0].value == pytest.approx(sum(parts) / 2)
    assert evaluation.scores[0].signature.startswith("macro average of en-de, en-fr: ")
    out = capsys.readouterr().out
    assert "en-de  chrf" in out
    assert "en-fr  chrf" in out
    rows = {row.id: row for row in read_manifest(tmp_path / "test.tsv").rows}
    assert all((row.src_lang, row.tgt_lang) == ("en", rows[row.id].tgt_lang) for row in evaluation.rows)
    assert main(["evaluate", str(run), "--task", "asr"]) == 0
    assert main(["evaluate", str(run), "--beam-size", "1"]) == 0
    capsys.readouterr()
    record = tmp_path / "record.json"
    names = [str(run), f"{run}@test+beam_size=1", "--samples", "40", "--out", str(record)]
    assert main(["compare", *names]) == 0
    assert "macro average over en-de, en-fr" in " ".join(capsys.readouterr().out.split())
    data = json.loads(record.read_text())
    assert data["scores"][str(run)]["chrf"] == pytest.approx(evaluation.scores[0].value)
    assert {row["group"] for row in data["by_task"]} == {"st en-de", "st en-fr"}
    assert main(["compare", str(run), "--direction", "en-de", "--out", str(record)]) == 0
    data = json.loads(record.read_text())
    assert data["scores"][str(run)]["chrf"] == pytest.approx(evaluation.directions["en-de"][0].value)
    assert (data["task"], data["directions"]) == ("st", ["en-de"])
    assert {row["group"] for row in data["by_task"]} == {"st en-de", "st en-fr", "asr"}
    rows = [replace(row, tgt_lang="zh") for row in read_manifest(tmp_path / "test.tsv").rows]
    write_manifest(tmp_path / "zh.tsv", rows)
    assert main(["evaluate", str(run), "--split", str(tmp_path / "zh.tsv"), "--metric", "bleu"]) == 0
    assert "tok:zh" in capsys.readouterr().out  # the config names no language, but all rows are in one


def test_a_dry_run_plans_mixed_batches(tmp_path, corpus, capsys):
    config = write_config(tmp_path / "config.yaml", config_of(corpus))
    assert main(["train", str(tmp_path / "run"), "--config", str(config), "--dry-run"]) == 0
    assert "LLM positions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ["st", "st"]}, "data.tasks: names st twice"),
        ({"tasks": ["sst"]}, "data.tasks"),
        ({"cot_marker": "||"}, r"data.cot_marker: the tokenizer cannot write the marker '\|\|'"),
    ],
)
def test_a_config_that_cannot_be_followed(tmp_path, corpus, change, message):
    with pytest.raises(ConfigError, match=message):
        preflight(load(tmp_path, config_of(corpus, **change)))


@pytest.mark.parametrize(
    ("tasks", "options", "message"),
    [
        (
            ["mt", "st"],
            PROBED,
            "data.tasks: layers are chosen by dev rows of the first, so it must read speech",
        ),
        (["st"], {"aligned_tasks": ["cot"]}, "aligned_tasks: no row is aligned: data.tasks are st, got cot"),
        (["st", "asr"], {"aligned_tasks": []}, "aligned_tasks: no row is aligned: data.tasks are st, asr, got none"),
        (["asr", "mt"], {"mt_weight": 1}, "mt_weight: belongs to the task st, which data.tasks do not name, got 1"),
    ],
)
def test_options_that_would_have_no_effect_are_faults(tmp_path, corpus, tasks, options, message):
    with pytest.raises(ConfigError, match=message):
        preflight(load(tmp_path, config_of(corpus, tasks=tasks) | options))


def test_a_run_whose_rows_are_alike_refuses_rows_for_other_tasks(tmp_path, corpus):
    rows = read_manifest(corpus / "train.tsv").rows
    write_manifest(tmp_path / "train.tsv", [replace(row, task="mt", audio=str(corpus / row.audio)) for row in rows])
    experiment = load(tmp_path, config_of(corpus, prompts={}, tasks=[], train=str(tmp_path / "train.tsv")))
    with pytest.raises(DataError, match=r"train0: task must be empty or st .*got 'mt'"):
        load_training_splits(experiment, build_task(experiment))
    assert main(["data", "shar", str(tmp_path / "train.tsv"), str(tmp_path / "shar")]) == 0
    stream = {"name": "shar", "config": {"path": str(tmp_path / "shar")}}
    experiment = load(tmp_path, config_of(corpus, prompts={}, tasks=[], train=None, stream=stream))
    with pytest.raises(DataError, match="since all rows of a stream are used alike, got 'mt'"):
        open_stream(experiment, build_task(experiment))


def test_a_length_penalty_of_cot_is_chosen_by_the_translations(trained, monkeypatch):
    def decode(self, model, batch, *, from_text, languages):
        texts = [f"{said} {MARKER} " for said in batch.source_text]
        return [Decoded(text, (Candidate(text, -1.0, -1.0, 4),)) for text in texts]

    monkeypatch.setattr("aista.tasks.decoding.Decoder.decode", decode)
    sweep = ["--sweep", "length_penalty=1,2", "--metric", "chrf"]
    assert main(["evaluate", str(trained), "--task", "cot", "--split", "dev", *sweep]) == 0
    evaluation = Evaluation.load(RunPaths(trained), "dev+task=cot")
    assert evaluation.scores[0].value == 0  # no translation was written, however good the transcripts are
    assert [point.scores[0].value for point in evaluation.length_sweep.points] == [0, 0]


def test_outputs_without_the_marker_are_said_once(trained, monkeypatch, capsys):
    def decode(self, model, batch, *, from_text, languages):
        return [Decoded("a", (Candidate("a", -1.0, -1.0, 2),))] * len(batch.source_text)

    monkeypatch.setattr("aista.tasks.decoding.Decoder.decode", decode)
    sweep = ["--sweep", "length_penalty=1,2", "--metric", "chrf"]
    assert main(["evaluate", str(trained), "--task", "cot", "--split", "dev", "--n-best", "1", *sweep]) == 0
    assert capsys.readouterr().err.count("outputs lack the marker") == 1


def test_text_translation_can_be_what_is_validated(tmp_path, corpus, capsys):
    options = config_of(corpus, prompts={}, tasks=["mt", "st"]) | {"alignment": []}
    run = tmp_path / "run"
    assert main(["train", str(run), "--config", str(write_config(tmp_path / "config.yaml", options))]) == 0
    (line,) = (run / "metrics" / "valid.jsonl").read_text().splitlines()
    assert main(["evaluate", str(run), "--split", "dev"]) == 0
    evaluation = Evaluation.load(RunPaths(run), "dev")
    assert {score.name: score.value for score in evaluation.scores} == pytest.approx(
        {name: json.loads(line)[name] for name in ("bleu", "chrf")}
    )
    capsys.readouterr()
    assert main(["evaluate", str(run), "--shuffled-speech"]) == 1
    assert "needs speech as input, not transcripts" in capsys.readouterr().err
    assert main(["probe", str(run), "--size", "4", "--resamples", "0"]) == 0  # rows are read for st
    _, text = (run / "config.yaml").read_text().split("\n", 1)  # without the checksum
    (run / "config.yaml").write_text(text.replace("  - st\n", ""))
    assert main(["probe", str(run), "--size", "4", "--resamples", "0"]) == 1
    assert "a probe needs speech, but data.tasks are mt" in capsys.readouterr().err.replace("\n", " ")


def test_texts_and_shards_of_parameters_do_not_go_together(tmp_path, corpus):
    options = config_of(corpus)
    options["trainer"] = {**options["trainer"], "data_parallelism": "fsdp"}
    with pytest.raises(ConfigError, match=r"trainer.data_parallelism: batches of mt may hold no speech"):
        preflight(load(tmp_path, options))


def test_a_task_that_trains_on_all_rows_alike_is_told(tmp_path, corpus):
    options = tiny_config(corpus)
    options = {key: options[key] for key in ("tokenizer", "data", "llm", "trainer")} | {"task": "text_translation"}
    options["data"] |= {"tasks": ["mt"]}
    with pytest.raises(ConfigError, match=r"data.tasks: the task 'text_translation' trains on all rows alike"):
        preflight(load(tmp_path, options))


def test_tasks_with_one_prompt_are_refused_before_training(tmp_path, corpus):
    experiment = load(tmp_path, config_of(corpus, prompts={}))
    with pytest.raises(DataError, match="have the same prompt; give the tasks prompts of their own"):
        load_training_splits(experiment, build_task(experiment))


@pytest.mark.parametrize("task", ["st", "asr"])
def test_recordings_are_translated_with_the_prompt_of_a_task(trained, corpus, capsys, task):
    greedy = ["--task", task, "--beam-size", "1"]
    assert main(["evaluate", str(trained), *greedy]) == 0
    label = "test+beam_size=1" if task == "st" else "test+task=asr+beam_size=1"
    (expected,) = (row.hypothesis for row in Evaluation.load(RunPaths(trained), label).rows if row.id == "test0")
    capsys.readouterr()
    assert main(["translate", str(trained), str(corpus / "audio" / "test0.wav"), *greedy]) == 0
    assert capsys.readouterr().out.strip().endswith(expected)


def test_a_prompt_s_language_must_be_given_for_recordings(tmp_path, corpus, capsys):
    options = config_of(corpus, prompts={}, tasks=[], target_language="")
    options |= {"prompt": "{tgt_lang}{speech}", "alignment": []}
    options["evaluation"] |= {"metrics": ["chrf"]}
    run, audio = tmp_path / "run", str(corpus / "audio" / "test0.wav")
    assert main(["train", str(run), "--config", str(write_config(tmp_path / "config.yaml", options))]) == 0
    assert main(["translate", str(run), audio]) == 2
    assert "give --source-language and --target-language" in capsys.readouterr().err.replace("\n", " ")
    assert main(["translate", str(run), audio, "--target-language", "fr"]) == 0
    assert main(["translate", str(run), audio, "--task", "asr", "--target-language", "fr"]) == 1


def test_an_export_does_all_tasks(trained, corpus, tmp_path, capsys):
    assert main(["export", str(trained), str(tmp_path / "model")]) == 0
    outputs = []
    for folder in (trained, tmp_path / "model"):
        for task in ("asr", "cot"):
            capsys.readouterr()
            assert main(["translate", str(folder), str(corpus / "audio" / "test0.wav"), "--task", task]) == 0
            outputs.append(capsys.readouterr().out)
    assert outputs[:2] == outputs[2:]


def test_a_language_that_the_prompt_does_not_say_is_refused(trained, corpus, capsys):
    command = ["translate", str(trained), str(corpus / "audio" / "test0.wav")]
    assert main([*command, "--target-language", "de"]) == 2
    error = capsys.readouterr().err.replace("\n", " ")
    assert "--target-language: the prompt of this task does not hold {tgt_lang}" in error
    assert main([*command, "--target-language", "fr"]) == 0  # the only one that there is


def test_rows_of_a_stream_have_prompts_of_their_own(tmp_path, corpus):
    assert main(["data", "shar", str(corpus / "train.tsv"), str(tmp_path / "shar")]) == 0
    stream = {"name": "shar", "config": {"path": str(tmp_path / "shar")}}
    options = config_of(corpus, prompts={}, tasks=[], train=None, stream=stream)
    experiment = load(tmp_path, options | {"prompt": "{tgt_lang}{speech}"})
    opened = open_stream(experiment, build_task(experiment))
    with opened.loader(0, 1) as loader:
        batch = next(iter(loader))
    assert batch.prompts.head_lengths.min() > 0
    with pytest.raises(ConfigError, match="tasks does not work with stream"):
        load(tmp_path, config_of(corpus, train=None, stream=stream))
