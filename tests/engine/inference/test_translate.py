"""Files that belong to no manifest: each is checked as a row is, and a bad one costs the others nothing."""

import io
import json
import os
import re
import shutil
import sys

import numpy as np
import pytest
import soundfile
import torch

import aista
from aista.cli.main import main
from aista.data.segmenters.base import Segment, Segmenter
from aista.data.segmenters.fixed import Fixed
from aista.engine.inference.translate import Translation
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
    model = aista.load(run, device="cpu")
    results = [*model.stream(files)]
    assert [result.file for result in results] == files
    for file, result in zip(files, results, strict=True):
        if file in BAD:
            assert result.text is None
            assert result.problem.startswith(f"{file}: ")
            assert re.search(BAD[file], result.problem), result.problem
        else:
            assert result == model.translate(file)
            assert result.problem == ""
            assert result.text is not None
    assert len({result.text for result in results}) > 2


def test_one_path_is_no_list_of_files(run, files):
    with pytest.raises(aista.AistaError, match=r"recordings: must be a list, got 'ok\.wav'; write \['ok\.wav'\]"):
        aista.load(run, device="cpu").stream("ok.wav")


def test_the_command_prints_one_line_per_file(run, files, capsys):
    files = [file for file in files if file != "folder.wav"]
    assert main(["translate", str(run), "--device", "cpu", *files]) == 1
    printed = capsys.readouterr()
    lines = printed.out.removesuffix("\n").split("\n")
    expected = [result for result in aista.load(run, device="cpu").stream(files) if result.text is not None]
    assert [line.count("\t") for line in lines] == [1] * len(expected)
    assert [line.split("\t")[1] for line in lines] == [result.text for result in expected]
    names = [line.split("\t")[0] for line in lines[:5]]
    assert names == ["ok.wav", "take_10:20:30", r"two\tcolumns.wav", r"two\nlines\x1b[31m.wav", r"latin\udce9.wav"]
    faults = printed.err.splitlines()
    assert [line.split(": ")[1] for line in faults] == [file for file in BAD if file != "folder.wav"]
    assert main(["translate", str(run), "--device", "cpu", "ok.wav"]) == 0


def test_what_a_model_says_is_one_line(run, files, capsys, monkeypatch):
    said = "a\nb\tc\\d\r\x1b[31m\u2028"
    monkeypatch.setattr("aista.data.tokenizers.sentencepiece.SentencePieceTokenizer.decode", lambda self, ids: said)
    assert main(["translate", str(run), "ok.wav"]) == 0
    assert capsys.readouterr().out == "ok.wav\ta\\nb\\tc\\\\d\\r\\x1b[31m\\u2028\n"


def test_a_file_that_the_model_cannot_take(run, files, monkeypatch):
    model = aista.load(run, device="cpu")
    monkeypatch.setattr(model.run.model.llm, "max_positions", 24)
    soundfile.write("longer.wav", np.tile(soundfile.read("ok.wav")[0], 3), RATE)
    good, bad = model.stream(["ok.wav", "longer.wav"])
    assert good.text is not None
    assert re.fullmatch("longer.wav: must take at most 24 LLM positions, got [0-9]+; .*", bad.problem)


def test_a_file_that_the_model_fails_on_costs_the_others_nothing(run, files, monkeypatch):
    model = aista.load(run, device="cpu")
    expected = [*model.stream(["ok.wav", "take_10:20:30"])]
    search = type(model.run.task).hypotheses

    def fail_on_loud(self, built, batch, generation, **options):
        if "loud.wav" in batch.ids:
            raise RunError("the language model's output is not a number")
        return search(self, built, batch, generation, **options)

    monkeypatch.setattr(type(model.run.task), "hypotheses", fail_on_loud)
    shutil.copy("ok.wav", "loud.wav")
    first, loud, last = model.stream(["ok.wav", "loud.wav", "take_10:20:30"])
    assert [first, last] == expected
    assert loud == Translation("loud.wav", problem="loud.wav: the language model's output is not a number", end=0.24)


class Halves(Segmenter):
    """From 0.2 s on, half seconds; the last may be shorter."""

    def segments(self, blocks, max_seconds):
        seconds = sum(len(block) for block in blocks) / self.sample_rate
        starts = np.arange(0.2, seconds - 0.1, 0.5).tolist()
        return [Segment(start, min(start + 0.5, seconds)) for start in starts]


@pytest.fixture
def talk(files):
    """5.2 s: the sounds of the good files, one after the other."""
    sounds = [soundfile.read(name)[0] for name in GOOD] * 4
    wave = np.concatenate(sounds)[: int(5.2 * RATE)]
    soundfile.write("talk.wav", wave, RATE, subtype="FLOAT")
    return wave


def test_segments_are_translated_as_files_that_hold_them(run, talk):
    model = aista.load(run, device="cpu")
    results = [*model.stream(["talk.wav", "long.wav"], segmenter=Halves())]
    pieces = [result for result in results if result.file == "talk.wav"]
    assert results[: len(pieces)] == pieces
    assert len(results) == len(pieces) + 6
    assert [round(piece.start, 6) for piece in pieces] == [round(0.2 + index / 2, 6) for index in range(10)]
    assert [piece.is_last for piece in pieces] == [False] * 9 + [True]
    names = []
    for index, piece in enumerate(pieces):
        names.append(f"piece{index}.wav")
        part = talk[round(piece.start * RATE) : round(piece.end * RATE)]
        soundfile.write(names[-1], part, RATE, subtype="FLOAT")
    assert [piece.text for piece in pieces] == [result.text for result in model.stream(names)]
    assert len({piece.text for piece in pieces}) > 1


def test_segments_that_the_model_cannot_take_are_named_by_their_times(run, talk):
    class Odd(Segmenter):
        def segments(self, blocks, max_seconds):
            assert max_seconds == 2.0
            list(blocks)
            return [Segment(0.0, 0.05), Segment(1.0, 2.0), Segment(2.0, 4.5)]

    short, good, cut = aista.load(run, device="cpu").stream(["talk.wav"], segmenter=Odd())
    assert re.fullmatch(r"talk\.wav from 00:00:00\.000 to 00:00:00\.050: must last at least 0\.1 s.*", short.problem)
    assert good.text is not None
    assert cut.text is not None  # to the model's longest


def test_digital_silence_says_nothing_and_no_speech_is_said(run, talk):
    class Nothing(Segmenter):
        def segments(self, blocks, max_seconds):
            list(blocks)
            return []

    soundfile.write("gap.wav", np.concatenate([talk[:RATE], np.zeros(3 * RATE)]), RATE, subtype="FLOAT")
    model = aista.load(run, device="cpu")
    texts = [result.text for result in model.stream(["gap.wav"], segmenter=Fixed(max_seconds=1))]
    assert texts[1:] == ["", "", ""]
    (result,) = model.stream(["talk.wav"], segmenter=Nothing())
    assert result.problem.startswith("talk.wav: no speech was found in its 5.2 s; lower")


def test_a_recording_that_is_bad_at_its_end_costs_the_others_nothing(run, talk):
    shutil.copy("talk.wav", "cut.wav")
    os.truncate("cut.wav", os.path.getsize("cut.wav") - 4000)
    results = [*aista.load(run, device="cpu").stream(["cut.wav", "ok.wav"], segmenter=Fixed())]
    assert [result.text is None for result in results] == [True, False]
    assert "the file is cut short" in results[0].problem


def test_a_recording_that_changes_between_the_readings_is_named(run, talk):
    class Shortens(Fixed):
        def segments(self, blocks, max_seconds):
            found = super().segments(blocks, max_seconds)
            soundfile.write("talk.wav", talk[: 4 * RATE], RATE, subtype="FLOAT")
            return found

    results = [*aista.load(run, device="cpu").stream(["talk.wav"], segmenter=Shortens(max_seconds=1.5))]
    assert [result.text is None for result in results] == [False, False, False, True]
    assert results[-1].problem == "talk.wav: has become shorter while it was read; translate it again"


def test_long_recordings_by_the_command(run, talk, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "subtitles"
    folder.mkdir()
    arguments = ["translate", str(run), "--segment", "{name: fixed, config: {max_seconds: 1.5}}", "--format"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"talk.wav\nok.wav\nlong.wav\n")))
    assert main([*arguments, "srt", "-o", str(folder), "-"]) == 0
    assert sorted(file.name for file in folder.iterdir()) == ["long.srt", "ok.srt", "talk.srt"]
    assert main([*arguments, "json", "-o", str(tmp_path / "all.json"), "talk.wav", "text.wav"]) == 1
    first, second = json.loads((tmp_path / "all.json").read_text())
    assert [round(part["end"], 3) for part in first["segments"]] == [1.3, 2.6, 3.9, 5.2]
    assert second["problem"].startswith("text.wav: must be audio")
    assert capsys.readouterr().err.count("text.wav: must be audio") == 1
    assert main(["translate", str(run), "long.wav"]) == 1
    assert "or have it cut by --segment vad" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ok.wav", "--segment", "vda"], "segmenter.name: unknown segmenter 'vda' (did you mean 'vad'?)"),
        (["ok.wav", "--segment", "{name: vad, config: {pause: 0}}"], "segmenter.config.pause: must be at least 0.1"),
        (["ok.wav", "--segment", "{"], "must be a segmenter's name, or {name: ..., config: {...}}, got '{'"),
        (["folder.wav"], "folder.wav: must hold recordings, files named .wav"),
        (["ok.wav", "nan.wav", "--format", "vtt"], "a file of subtitles belongs to one recording, got 2"),
    ],
)
def test_mistakes_are_said_before_anything_is_read(run, files, capsys, arguments, message):
    assert main(["translate", str(run), *arguments]) == 2
    assert message in capsys.readouterr().err
