"""Each format holds what was said and when, whatever that is."""

import json
import re

import pytest

from aista.data.recordings import Recording
from aista.engine.inference.pieces import clock
from aista.engine.inference.translate import Translation
from aista.engine.inference.translation_files import FORMATS, Output
from aista.errors import AistaError, RunError

ITEMS = [
    Translation("a.wav", "one & two", start=0.5, end=3661.0625, is_last=False),
    Translation("a.wav", None, "a.wav from here: too long", 3662.0, 3663.0, is_last=False),
    Translation("a.wav", "", "", 3664.0, 3665.0, is_last=False),
    Translation("a.wav", "tab\there\n\nthere\\ \x1b[31m\u2028", start=3666.0, end=3667.9999),
    Translation("b\udce9.wav", None, "b.wav: no such file"),
]
RECORDINGS = [Recording("a.wav", "a"), Recording("b\udce9.wav", "b")]


def rendered(format, items=ITEMS, timed=True):
    return "".join(FORMATS[format](items, timed))


def test_the_clock_counts_hours_and_rounds():
    assert [clock(0), clock(59.9996), clock(3661.0625, ",")] == ["00:00:00.000", "00:01:00.000", "01:01:01,062"]


def test_text_is_one_line_each():
    said = [r"tab\there\n\nthere\\ \x1b[31m\u2028", "one & two", ""]
    assert rendered("text").splitlines() == [
        f"a.wav\t00:00:00.500\t01:01:01.062\t{said[1]}",
        "a.wav\t01:01:04.000\t01:01:05.000\t",
        f"a.wav\t01:01:06.000\t01:01:08.000\t{said[0]}",
    ]
    assert rendered("text", timed=False).splitlines()[0] == "a.wav\tone & two"


def test_tables_have_a_header_and_seconds():
    lines = [line.split("\t") for line in rendered("tsv").splitlines()]
    assert lines[:2] == [["file", "start", "end", "text"], ["a.wav", "0.500", "3661.062", "one & two"]]
    assert {len(line) for line in lines} == {4}


def test_subtitles_have_no_empty_cues():
    cue = r"tab here there\ \x1b[31m"
    assert rendered("srt") == (
        "1\n00:00:00,500 --> 01:01:01,062\none & two\n\n2\n01:01:06,000 --> 01:01:08,000\n" + cue + "\n\n"
    )
    assert rendered("vtt") == (
        "WEBVTT\n\n00:00:00.500 --> 01:01:01.062\none &amp; two\n\n01:01:06.000 --> 01:01:08.000\n" + cue + "\n\n"
    )


def test_an_arrow_in_a_text_is_no_arrow_of_vtt():
    assert rendered("vtt", [Translation("a", "a --> b", end=1.0)]).count("-->") == 1


def test_json_holds_everything_and_nothing_a_terminal_obeys():
    text = rendered("json")
    assert re.search("[\x7f-\x9f\u2028\udc80-\udcff]", text) is None
    first, second = json.loads(text)
    assert [part["text"] for part in first["segments"]] == [item.text for item in ITEMS[:4]]
    assert first["segments"][1] == {"start": 3662, "end": 3663, "text": None, "problem": "a.wav from here: too long"}
    assert second == {"file": "b\udce9.wav", "segments": [], "problem": "b.wav: no such file"}
    assert json.loads(rendered("json", [])) == []


def test_a_file_appears_once_it_is_complete(tmp_path):
    path = tmp_path / "new" / "all.tsv"
    Output(RECORDINGS, "tsv", path).write(ITEMS)
    assert path.read_text() == rendered("tsv")

    def broken():
        yield ITEMS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Output(RECORDINGS, "tsv", path).write(broken())
    assert path.read_text() == rendered("tsv")
    assert [file.name for file in path.parent.iterdir()] == ["all.tsv"]


def test_a_folder_gets_a_file_for_each_recording_that_has_a_translation(tmp_path):
    Output([Recording("a.wav", "day 1/a"), RECORDINGS[1]], "srt", tmp_path).write(ITEMS)
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*")] == ["day 1/a.srt"]
    assert (tmp_path / "day 1" / "a.srt").read_text() == rendered("srt")
    Output(RECORDINGS, "text", tmp_path, timed=True).write(ITEMS)
    assert (tmp_path / "a.txt").read_text() == rendered("text")


def test_what_cannot_be_written_is_said_before(tmp_path):
    with pytest.raises(AistaError, match="--format srt: a file of subtitles belongs to one recording, got 2; name an"):
        Output(RECORDINGS, "srt", tmp_path / "a.srt")
    with pytest.raises(AistaError, match=r"'x/a\.wav' and 'y/a\.mp3' are both to be written to .*/a\.json; translate"):
        Output([Recording("x/a.wav", "a"), Recording("b.wav", "b"), Recording("y/a.mp3", "a")], "json", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        Output(RECORDINGS, "json", tmp_path / "file" / "a.json")
