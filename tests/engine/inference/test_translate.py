"""Files that belong to no manifest: each is checked as a row is, and a bad one costs the others nothing."""

import os
import re
import shutil

import numpy as np
import pytest
import soundfile
import torch

from aista.cli.main import main
from aista.engine.inference.translate import Translation, load_model
from aista.errors import RunError
from tests.finished import finish
from tests.tiny import RATE, tiny_config

BAD = {
    "nan.wav": "finite",
    "silent.wav": "every sample is zero",
    "short.wav": "at least 0.1 s",
    "long.wav": "at most 2 s",
    "text.wav": "must be audio",
    "folder.wav": "must be a file",
    "nowhere.wav": "no such file",
    "fifo.wav": "must be a file",
}
GOOD = ["ok.wav", "take_10:20:30", "two\tcolumns.wav", "two\nlines\x1b[31m.wav", b"latin\xe9.wav"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, corpus):
    options = tiny_config(corpus)
    options["data"] = {**options["data"], "max_seconds": 2.0}
    options["evaluation"] = {"batch_size": 3, "generation": {"beam_size": 2, "max_new_tokens": 12}}
    torch.manual_seed(1)
    return finish(tmp_path_factory.mktemp("translate"), options)[0]


@pytest.fixture
def files(tmp_path, corpus, monkeypatch):
    """All of them, good and bad in turns."""
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate(GOOD):
        shutil.copy(corpus / "audio" / f"test{index}.wav", name)
    wave, _ = soundfile.read("ok.wav", dtype="float32")
    wave[100] = np.nan
    soundfile.write("nan.wav", wave, RATE, subtype="FLOAT")
    for name, samples in (("silent", np.zeros(RATE)), ("short", 0.1 * np.ones(99)), ("long", 0.1 * np.ones(3 * RATE))):
        soundfile.write(f"{name}.wav", samples, RATE)
    (tmp_path / "text.wav").write_text("words")
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo("fifo.wav")
    names = [os.fsdecode(name) for name in GOOD]
    return [name for pair in zip(list(BAD), names + names, strict=False) for name in pair]


def test_a_bad_file_is_named_and_the_others_are_translated_as_they_are_alone(run, files):
    model = load_model(run, device="cpu")
    results = model.translate(files)
    assert [result.file for result in results] == files
    for file, result in zip(files, results, strict=True):
        if file in BAD:
            assert result.text is None
            assert result.problem.startswith(f"{file}: ")
            assert re.search(BAD[file], result.problem), result.problem
        else:
            assert result == model.translate([file])[0]
            assert result.problem == ""
            assert result.text is not None
    assert len({result.text for result in results}) > 2


def test_one_path_is_no_list_of_files(run, files):
    with pytest.raises(ValueError, match=r"files must be a list of paths, got 'ok\.wav'; write \['ok\.wav'\]"):
        load_model(run, device="cpu").translate("ok.wav")


def test_the_command_prints_one_line_per_file(run, files, capsys):
    assert main(["translate", str(run), "--device", "cpu", *files]) == 1
    printed = capsys.readouterr()
    lines = printed.out.removesuffix("\n").split("\n")
    expected = [result for result in load_model(run, device="cpu").translate(files) if result.text is not None]
    assert [line.count("\t") for line in lines] == [1] * len(expected)
    assert [line.split("\t")[1] for line in lines] == [result.text for result in expected]
    names = [line.split("\t")[0] for line in lines[:5]]
    assert names == ["ok.wav", "take_10:20:30", r"two\tcolumns.wav", r"two\nlines\x1b[31m.wav", r"latin\udce9.wav"]
    faults = printed.err.splitlines()
    assert [line.split(": ")[1] for line in faults] == list(BAD)
    assert main(["translate", str(run), "--device", "cpu", "ok.wav"]) == 0


def test_what_a_model_says_is_one_line(run, files, capsys, monkeypatch):
    said = "a\nb\tc\\d\r\x1b[31m\u2028"
    monkeypatch.setattr(
        "aista.tasks.speech_translation.SpeechTranslationTask.decode", lambda self, model, batch, config: [said]
    )
    assert main(["translate", str(run), "ok.wav"]) == 0
    assert capsys.readouterr().out == "ok.wav\ta\\nb\\tc\\\\d\\r\\x1b[31m\\u2028\n"


def test_a_file_that_the_model_cannot_take(run, files, monkeypatch):
    model = load_model(run, device="cpu")
    monkeypatch.setattr(model.run.model.llm, "max_positions", 24)
    soundfile.write("longer.wav", np.tile(soundfile.read("ok.wav")[0], 3), RATE)
    good, bad = model.translate(["ok.wav", "longer.wav"])
    assert good.text is not None
    assert re.fullmatch("longer.wav: must take at most 24 LLM positions, got [0-9]+; .*", bad.problem)


def test_a_file_that_the_model_fails_on_costs_the_others_nothing(run, files, monkeypatch):
    model = load_model(run, device="cpu")
    expected = model.translate(["ok.wav", "take_10:20:30"])
    decode = model.run.task.decode

    def fail_on_loud(built, batch, generation):
        if "loud.wav" in batch.ids:
            raise RunError("the language model's output is not a number")
        return decode(built, batch, generation)

    monkeypatch.setattr(model.run.task, "decode", fail_on_loud)
    shutil.copy("ok.wav", "loud.wav")
    first, loud, last = model.translate(["ok.wav", "loud.wav", "take_10:20:30"])
    assert [first, last] == expected
    assert loud == Translation("loud.wav", problem="loud.wav: the language model's output is not a number")
