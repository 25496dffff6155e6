"""aista from Python gives what the commands give, and says what is wrong as they do."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

import aista
from aista.cli.main import main
from aista.errors import ConfigError, DataError, RunError
from tests.finished import finish
from tests.tiny import RATE, make_corpus, tiny_config, write_config

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
BLOCKS = [part.split("```")[0] for part in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, corpus):
    torch.manual_seed(1)
    return finish(tmp_path_factory.mktemp("api"), tiny_config(corpus))[0]


@pytest.fixture(scope="module")
def model(folder):
    return aista.load(folder, device="cpu")


@pytest.fixture
def file(corpus):
    return corpus / "audio" / "test0.wav"


@pytest.fixture
def samples(file):
    return soundfile.read(file, dtype="float32")[0]


def translated(folder, file, capsys, *options):
    assert main(["translate", str(folder), str(file), "--device", "cpu", "--format", "json", *options]) == 0
    (recording,) = json.loads(capsys.readouterr().out)
    (segment,) = recording["segments"]
    return segment


def test_a_translation_is_that_of_the_command(model, folder, file, capsys):
    found = model.translate(file)
    assert (found.file, found.problem) == (str(file), "")
    assert found.text == translated(folder, file, capsys)["text"]
    assert {model.translate(path).text for path in file.parent.glob("test*.wav")} != {found.text}
    greedy = model.translate(str(file), beam_size=1, max_new_tokens=3)
    assert greedy.text == translated(folder, file, capsys, "--beam-size", "1", "--max-new-tokens", "3")["text"]
    best = model.translate(file, n_best=2).n_best
    listed = translated(folder, file, capsys, "--n-best", "2")["n_best"]
    assert [candidate.text for candidate in best] == [candidate["text"] for candidate in listed]


@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy, np.float64, np.ndarray.tolist, lambda x: x[::-1][::-1]])
def test_samples_are_translated_as_the_file_that_holds_them(model, file, samples, form):
    found = model.translate(form(samples), sample_rate=RATE)
    assert (found.file, found.text) == ("array", model.translate(file).text)
    assert found.end == pytest.approx(len(samples) / RATE)


def test_samples_of_another_rate_are_resampled_as_files_are(model, tmp_path, samples):
    soundfile.write(tmp_path / "low.wav", samples[::2], 8_000, subtype="FLOAT")
    expected = model.translate(tmp_path / "low.wav")
    found = model.translate(samples[::2].copy(), 8_000)
    assert (found.text, found.end) == (expected.text, expected.end)


def test_many_recordings_are_translated_in_order_and_a_bad_one_is_named(model, file, samples):
    loud = aista.Waveform(samples, RATE, name="take 2")
    first, bad, last = model.stream([file, "nowhere.wav", loud])
    assert first == model.translate(file)
    assert bad.text is None
    assert bad.problem.startswith("nowhere.wav: no such file")
    assert (last.file, last.text) == ("take 2", first.text)


def test_segments_of_samples_are_those_of_the_file(model, file, samples):
    from aista.data.segmenters.fixed import Fixed

    options = {"segmenter": Fixed(max_seconds=0.2)}
    from_file = [*model.stream([file], **options)]
    in_memory = [*model.stream([aista.Waveform(samples, RATE)], **options)]
    assert len(from_file) > 1
    assert [(item.start, item.end, item.text) for item in in_memory] == [
        (item.start, item.end, item.text) for item in from_file
    ]


@pytest.mark.parametrize(
    ("change", "rate", "message"),
    [
        (lambda x: x, None, "array: samples do not say their rate; give sample_rate in Hz, e.g. sample_rate=16000"),
        (lambda x: np.stack([x, x]), RATE, r"array: must have one channel, of shape \[W\], got shape \[2, [0-9]+\]"),
        (lambda x: (32767 * x).astype(np.int16), RATE, "must be floats in .* got torch.int16; .* 32768 for int16"),
        (lambda x: x[:0], RATE, "array: holds no samples"),
        (lambda x: 0 * x, RATE, "array: every sample is zero"),
        (lambda x: x * np.nan, RATE, "array: samples must be finite"),
        (lambda x: x, 16_000.5, "array: sample_rate must be a whole number of Hz, got 16000.5"),
        (lambda x: x, 0, "array: sample_rate must be a whole number of Hz, got 0"),
        (lambda x: None, RATE, "array: must hold samples of one recording, got None"),
        (lambda x: x[:9], RATE, "array: must last at least 0.1 s"),
        (lambda x: "a.wav", RATE, "a.wav: the file states its own sample rate; leave out sample_rate=16000"),
        (lambda x: "nowhere.wav", None, "nowhere.wav: no such file"),
        (lambda x: ["a.wav"], None, r"audio: must be one recording, got \['a.wav'\]; Model.stream takes several"),
    ],
)
def test_what_cannot_be_translated(model, samples, change, rate, message):
    with pytest.raises(aista.AistaError, match=message):
        model.translate(change(samples), rate)


def test_states_are_those_that_a_batch_of_the_split_has(model, corpus):
    split = model.run.load_split("test")
    row = split.dataset.rows[0]
    batch = split.dataset.batch([0], epoch=0)
    with torch.no_grad():
        expected = model.module(batch, model.run.task.states_request((0, 1, 2)))
    states = model.states(corpus / row.audio, row.src_text)
    assert states.layers == (0, 1, 2)
    torch.testing.assert_close(states.speech, torch.cat(expected.speech))
    torch.testing.assert_close(states.text, torch.cat(expected.text))
    assert states.speech.shape == (3, int(expected.speech_lengths[0]), 16)
    assert states.text.shape == (3, len(states.tokens), 16)
    assert "".join(states.tokens).replace("▁", " ").strip() == row.src_text
    assert states.seconds == pytest.approx(row.seconds)
    assert not states.speech.is_inference()  # else nothing could be trained on it


def test_states_of_some_layers_come_in_the_order_asked_for(model, file, samples):
    every = model.states(file, "one two")
    some = model.states(samples, "one two", [2, 0], sample_rate=RATE)
    assert some.layers == (2, 0)
    torch.testing.assert_close(some.speech, every.speech[[2, 0]])
    torch.testing.assert_close(some.text, every.text[[2, 0]])


@pytest.mark.parametrize("layers", [[3], [-1], [], [1.5]])
def test_a_layer_that_is_not_there(model, file, layers):
    with pytest.raises(
        aista.AistaError, match=r"layers: must be numbers from 0, .* to 2, .* got " + re.escape(repr(layers))
    ):
        model.states(file, "one", layers)


def test_a_transcript_that_is_none(model, file):
    with pytest.raises(aista.AistaError, match="transcript: must be the words spoken, got nothing"):
        model.states(file, " ")
    with pytest.raises(DataError, match="must not write '<fr>'"):
        model.states(file, "one <fr>")
    with pytest.raises(DataError, match=r"nowhere\.wav: no such file"):
        model.states("nowhere.wav", "one")


def test_a_probe_is_that_of_the_command_and_writes_nothing(model, folder):
    curve = model.probe("test", size=6, resamples=10)
    assert curve.numbers == (0, 1, 2)
    assert not (folder / "probe").exists()
    assert main(["probe", str(folder), "--split", "test", "--size", "6", "--resamples", "10", "--device", "cpu"]) == 0
    (file,) = (folder / "probe").glob("test_step_1.json")
    assert aista.ProbeCurve.from_json(json.loads(file.read_text())["curve"]) == curve


def test_what_is_no_run(tmp_path, folder):
    with pytest.raises(RunError, match="not a run folder"):
        aista.load(tmp_path)
    with pytest.raises(RunError, match="no checkpoint '7'; it has steps 1"):
        aista.load(str(folder), 7)
    with pytest.raises(aista.AistaError, match="unknown 'gpu'"):
        aista.load(folder, device="gpu")


def test_a_model_says_what_it_is(model, folder):
    assert repr(model) == f"<aista.Model {folder}, step_1, on cpu>"
    assert isinstance(model.module, torch.nn.Module)
    assert not model.module.training


def test_an_experiment_is_read_as_by_the_command(tmp_path, capsys):
    experiment = aista.Experiment.from_yaml("quickstart", "trainer.max_steps=30", "seed=7")
    assert main(["train", "run", "--config", "quickstart", "trainer.max_steps=30", "seed=7", "--dump-config"]) == 0
    assert experiment.to_yaml() == capsys.readouterr().out
    assert repr(experiment).endswith("quickstart.yaml>")
    with pytest.raises(ConfigError, match=r"trainer\.max_stepz"):
        aista.Experiment.from_yaml("quickstart", "trainer.max_stepz=30")
    with pytest.raises(ConfigError, match=r"quickstrat: is not a shipped config \(did you mean 'quickstart'\?\)"):
        aista.Experiment.from_yaml("quickstrat")
    with pytest.raises(ConfigError, match="cannot be read"):
        aista.Experiment.from_yaml(tmp_path / "none.yaml")


def test_what_an_experiment_evaluates_is_its_own(folder, corpus, tmp_path):
    config = write_config(tmp_path / "config.yaml", tiny_config(corpus))
    experiment = aista.Experiment.from_yaml(config)
    evaluation = experiment.evaluate(folder, "test", device="cpu", beam_size=1)
    assert [score.name for score in evaluation.scores] == ["bleu", "chrf"]
    assert len(evaluation.rows) == 8
    assert (folder / "evaluation" / "test+beam_size=1").is_dir()
    with pytest.raises(aista.AistaError, match=r"another experiment; it differs in seed: 1 there, 2 here"):
        aista.Experiment.from_yaml(config, "seed=2").evaluate(folder)
    with pytest.raises(RunError, match="not a run folder"):
        experiment.evaluate(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_the_examples_of_the_page_run(folder, file, samples, capsys):
    given = {"runs/mboshi_aista": folder, "a.wav": file, "talk.mp3": file, "what is said in it": "one two"}
    names = {"samples": np.tile(samples, 3), "torch": torch}
    for block in BLOCKS[:-1]:
        code = block.replace("[0, 4, 8]", "[0, 1, 2]")
        for old, new in given.items():
            code = code.replace(f'"{old}"', repr(str(new)))
        exec(compile(code, "docs/python.md", "exec"), names)
    states = names["states"]
    assert names["cost"].shape == (states.speech.size(1), states.text.size(1))
    assert names["curve"].chance.mrr < 1
    assert "from the microphone: no speech was found" in capsys.readouterr().out  # but tones


@pytest.mark.slow
def test_the_page_trains(corpus, tmp_path):
    config = write_config(tmp_path / "config.yaml", tiny_config(corpus))
    code = BLOCKS[-1].replace('"quickstart"', repr(str(config))).replace("max_steps=500", "max_steps=2")
    names = {"aista": aista}
    exec(compile(code.replace("runs/mine", str(tmp_path / "run")), "docs/python.md", "exec"), names)
    assert names["model"].run.checkpoint.step == 2
    assert (tmp_path / "run" / "evaluation" / "test").is_dir()
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (written["trainer"]["max_steps"], written["seed"]) == (2, 2)


def test_all_names_are_there_and_type_checkers_know_them():
    assert {name: getattr(aista, name) for name in aista.__all__}.keys() <= set(dir(aista))
    stub = ast.parse(Path(aista.__file__).with_suffix(".pyi").read_text())
    imported = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    told = {alias.asname: node.module for node in imported for alias in node.names}
    assert {"__version__", *told} == set(aista.__all__)
    for name, module in told.items():
        assert getattr(__import__(module, fromlist=[name]), name) is getattr(aista, name)
    with pytest.raises(AttributeError, match="module 'aista' has no attribute 'lode'"):
        aista.lode  # noqa: B018
