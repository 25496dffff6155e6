import os
from collections import Counter

import pytest

from aista.data.recordings import find_recordings, read_names
from aista.errors import DataError


def test_files_stay_and_folders_give_what_lies_in_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("talks/b.MP3", "talks/a.wav", "talks/day 2/c.m4a", "talks/notes.txt", "talks/day 2/README", "x.raw"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found, others = find_recordings(["x.raw", "talks", "gone/take_10:20:30"])
    assert [(recording.file, recording.name) for recording in found] == [
        ("x.raw", "x"),
        ("talks/a.wav", "a"),
        ("talks/b.MP3", "b"),
        ("talks/day 2/c.m4a", "day 2/c"),
        ("gone/take_10:20:30", "take_10:20:30"),
    ]
    assert others == Counter({".txt": 1, "no suffix": 1})


def test_a_folder_without_recordings_is_named(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match=r"must hold recordings, files named \.wav, \.flac.*, got a folder without any"):
        find_recordings([str(tmp_path)])


def test_names_of_a_list_are_any_bytes():
    assert read_names([b"a b.wav\r\n", b"\n", b"latin\xe9.wav"]) == ["a b.wav", os.fsdecode(b"latin\xe9.wav")]
    with pytest.raises(DataError, match="standard input: must list recordings, one path a line, got none"):
        read_names([b"\n", b"  \n"])
