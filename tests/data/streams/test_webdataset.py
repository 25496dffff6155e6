from __future__ import annotations

import io
import json
import tarfile

import pytest
import torch

from aista.data.audio import read_audio
from aista.data.streams.webdataset import WebDataset
from aista.errors import DataError


def write(path, *files):
    with tarfile.open(path, "w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def read(folder, **options):
    stream = WebDataset(path=folder, **options)
    return [row for shard in stream.shards(with_audio=True) for row in stream.rows(shard, with_audio=True)]


def test_rows_with_json_and_with_files_for_texts(tmp_path, write_audio):
    audio = write_audio("x.wav", 0.5).read_bytes()
    facts = {"text": "hello", "tgt_text": "bonjour", "duration": 0.5, "speaker": "s", "word_times": "0.1-0.2"}
    (tmp_path / "web").mkdir()
    write(
        tmp_path / "web" / "000.tar",
        ("part/a.b.flac", audio),
        *[("part/c.WAV", audio), ("part/c.json", json.dumps(facts).encode())],
        *[("d.wav", audio), ("d.txt", b"hello\n"), ("d.tgt_text", b"bonjour")],
    )
    first, second, third = read(tmp_path / "web", source="text")
    assert first.kind == "not readable"  # WebDataset takes all behind the first dot for the suffix: b.flac
    assert (second.row.id, second.row.n_frames, second.row.word_times) == ("part/c", 8_000, "0.1-0.2")
    assert (third.row.id, third.row.n_frames) == ("d", 8_000)
    for row in (second.row, third.row):
        assert (row.src_text, row.tgt_text) == ("hello", "bonjour")
        assert torch.equal(read_audio(row.audio, tmp_path / "web", 16_000), read_audio("x.wav", tmp_path, 16_000))


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ([("a.txt", b"x")], "must have a file of audio"),
        ([("a.wav", b"RIFF")], "cannot be decoded"),
        ([("a.wav", b""), ("a.json", b"[1]")], "must be an object"),
        ([("a.wav", b""), ("a.json", b"{")], "Expecting property name"),
        ([("a.wav", b""), ("a.json", b'{"duration": "long"}')], "duration must be a number"),
        ([("a.wav", b""), ("a.json", b'{"n_frames": -1}')], "n_frames must be a number"),
        (
            [("a.wav", b""), ("a.json", b'{"duration": 1, "task": "vad"}')],
            "task must be one of st, asr, mt, cot or empty",
        ),
        ([("a.wav", b""), ("a.txt", b"\xff")], "utf-8"),
    ],
)
def test_bad_rows(tmp_path, files, fault):
    write(tmp_path / "0.tar", *files)
    (row,) = read(tmp_path)
    assert fault in row.fault
    assert row.place == "0.tar: a"


def test_folders(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read(tmp_path / "none")
    with pytest.raises(DataError, match="found none"):
        read(tmp_path)
    (tmp_path / "0.tar").write_bytes(b"x" * 1024)
    with pytest.raises(DataError, match="cut short or no tar"):
        read(tmp_path)
