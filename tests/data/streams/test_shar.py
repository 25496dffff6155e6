"""Shards that are not as they should be: one clear message for each."""

from __future__ import annotations

import gzip
import json
import tarfile

import pytest

from aista.data.streams.shar import Shar
from aista.errors import DataError


def read(folder, **options):
    stream = Shar(path=folder, **options)
    return [row for shard in stream.shards(with_audio=True) for row in stream.rows(shard, with_audio=True)]


def write_cuts(folder, *cuts):
    with gzip.open(folder / "cuts.000000.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.writelines((cut if isinstance(cut, str) else json.dumps(cut)) + "\n" for cut in cuts)
    with tarfile.open(folder / "recording.000000.tar", "w") as archive:
        for name in ("a.wav", "a.json", "b.nodata", "b.nometa"):
            archive.addfile(tarfile.TarInfo(name))


def cut(id="a", **changes):
    spoken = {"text": "one two", "custom": {"tgt_text": "un deux"}} | changes
    return {"id": id, "start": 0, "duration": 1.0, "supervisions": [spoken], "type": "MonoCut"}


def test_folders_without_shards(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read(tmp_path / "none")
    with pytest.raises(DataError, match=r"must hold the shards of a Lhotse Shar.*aista data shar"):
        read(tmp_path)


def test_another_field_is_suggested(shar):
    for file in shar.glob("recording*"):
        file.rename(shar / file.name.replace("recording", "recordings"))
    with pytest.raises(DataError, match=r"'recording' \(did you mean 'recordings'\?\), the shards hold recordings"):
        read(shar)
    assert len(read(shar, field="recordings")) == 12


def test_a_missing_shard(shar):
    (shar / "recording.000002.tar").unlink()
    with pytest.raises(DataError, match=r"shard 000002 lacks one of them \(1 such\)"):
        read(shar)


def test_an_archive_that_is_cut_short(shar):
    file = shar / "recording.000001.tar"
    content = file.read_bytes()
    for size in (0, 100, 5_120, len(content) // 2):
        file.write_bytes(content[:size])
        with pytest.raises(DataError, match=r"recording.000001.tar: .*cut short"):
            Shar(path=shar).shards(with_audio=True)
    file.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match="got a compressed one"):
        Shar(path=shar).shards(with_audio=True)


def test_cuts_that_are_cut_short(shar):
    file = shar / "cuts.000001.jsonl.gz"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"cuts.000001.jsonl.gz: cut short after \d cuts"):
        read(shar)


@pytest.mark.parametrize("line", ["{", "[]", '"x"', "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")])
def test_lines_that_are_no_cuts(tmp_path, line):
    write_cuts(tmp_path, cut(), line)
    with pytest.raises(DataError, match=r"cuts.000000.jsonl.gz:2: must hold a cut"):
        read(tmp_path)


def test_no_utf_8(tmp_path):
    write_cuts(tmp_path)
    (tmp_path / "cuts.000000.jsonl.gz").write_bytes(gzip.compress(b'{"id": "\xff"}\n'))
    with pytest.raises(DataError, match=r"cuts.000000.jsonl.gz:1: must hold a cut, got: 'utf-8' codec"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ({"id": 3}, "no cut"),
        ({"id": "a"}, "no cut"),
        (cut() | {"duration": float("nan")}, "no cut"),
        (cut() | {"supervisions": ["x"]}, "no cut"),
        (cut() | {"supervisions": 3}, "no cut"),
        (cut("b"), "no audio"),
        (cut() | {"supervisions": [{}, {}]}, "several supervisions"),
        (cut() | {"start": 1.5}, "not whole"),
        (cut(custom={"tgt_text": "un", "task": "transcribe"}), "unknown task"),
        (cut(alignment={"word": [["three", 0.1, 0.2]]}), "impossible word times"),
        (cut(alignment={"word": [["one", 0.9, 0.5]]}), "impossible word times"),
        (cut(alignment={"word": [["one"]]}), "impossible word times"),
    ],
)
def test_bad_cuts_are_rows_with_a_fault(tmp_path, bad, kind):
    write_cuts(tmp_path, cut(), bad)
    good, row = read(tmp_path)
    assert (good.kind, row.kind, row.place) == ("", kind, "cuts.000000.jsonl.gz:2")
    assert row.fault


def test_texts_on_several_lines_and_other_keys(tmp_path):
    write_cuts(tmp_path, cut(text="one\n two", custom={"fr": "un\tdeux"}))
    (row,) = read(tmp_path, target="fr")
    assert (row.row.src_text, row.row.tgt_text) == ("one two", "un deux")


def test_texts_alone_need_no_archive(tmp_path):
    write_cuts(tmp_path, cut())
    (tmp_path / "recording.000000.tar").unlink()
    stream = Shar(path=tmp_path)
    (shard,) = stream.shards(with_audio=False)
    (row,) = stream.rows(shard, with_audio=False)
    assert (row.row.audio, row.row.n_frames, row.kind) == ("", 16_000, "")
