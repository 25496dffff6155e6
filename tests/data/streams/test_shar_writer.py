"""What is written is what a manifest said: read back by aista, and by Lhotse as an independent reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aista.data.audio import read_audio
from aista.data.manifest import Manifest, Row, read_manifest, write_manifest
from aista.data.streams.shar import Shar
from aista.data.streams.shar_writer import write_shar
from aista.errors import DataError
from aista.files import hash_file


def rows_of(folder: Path) -> list[Row]:
    stream = Shar(path=folder)
    found = [row for shard in stream.shards(with_audio=True) for row in stream.rows(shard, with_audio=True)]
    assert not any(row.kind for row in found)
    return [row.row for row in found]


@pytest.mark.parametrize("audio", ["original", "flac"])
def test_the_same_texts_and_samples_come_back(tmp_path, manifest, audio):
    rows = [replace(row, speaker="s", src_lang="en", tgt_lang="fr") for row in manifest.rows]
    rows[3] = replace(rows[3], src_text="two words", word_times="0.010-0.120 -")
    report = write_shar(replace(manifest, rows=tuple(rows)), tmp_path / "out", shard_rows=5, audio=audio)
    assert (report.rows, report.shards, report.left_out) == (12, 3, ())
    back = rows_of(tmp_path / "out")
    assert [replace(row, audio="") for row in back] == [replace(row, audio="", line=0) for row in rows]
    for row, original in zip(back, rows, strict=True):
        assert torch.equal(
            read_audio(row.audio, tmp_path / "out", 16_000), read_audio(original.audio, tmp_path, 16_000)
        )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves archives open
def test_lhotse_reads_the_same(tmp_path, manifest, shar):
    lhotse = pytest.importorskip("lhotse")
    cuts = list(lhotse.CutSet.from_shar(in_dir=shar))
    assert [cut.id for cut in cuts] == [row.id for row in manifest.rows]
    for cut, row in zip(cuts, manifest.rows, strict=True):
        (spoken,) = cut.supervisions
        assert (spoken.text, spoken.custom["tgt_text"]) == (row.src_text, row.tgt_text)
        np.testing.assert_array_equal(cut.load_audio()[0], read_audio(row.audio, tmp_path, 16_000).numpy())


def test_a_shar_that_lhotse_wrote_is_read(tmp_path, manifest):
    lhotse = pytest.importorskip("lhotse")
    from lhotse.shar import SharWriter
    from lhotse.supervision import AlignmentItem

    (tmp_path / "shar").mkdir()
    with SharWriter(tmp_path / "shar", fields={"recording": "flac"}, shard_size=5) as writer:
        for row in manifest.rows:
            recording = lhotse.Recording.from_file(tmp_path / row.audio)
            cut = recording.to_cut()
            word = [AlignmentItem("ab", 0.1, 0.05)]
            cut.supervisions = [
                lhotse.SupervisionSegment(
                    id=row.id,
                    recording_id=recording.id,
                    start=0,
                    duration=cut.duration,
                    text="a  ab",
                    custom={"tgt_text": row.tgt_text},
                    alignment={"word": word},
                )
            ]
            writer.write(cut.with_id(row.id))
    back = rows_of(tmp_path / "shar")
    assert [(row.id, row.n_frames, row.tgt_text) for row in back] == [
        (row.id, row.n_frames, row.tgt_text) for row in manifest.rows
    ]
    assert {(row.src_text, row.word_times) for row in back} == {("a ab", "- 0.100-0.150")}
    wave = read_audio(back[4].audio, tmp_path / "shar", 16_000)
    assert torch.equal(wave, read_audio(manifest.rows[4].audio, tmp_path, 16_000))


def test_channels_and_rates_stay(tmp_path, write_audio):
    write_audio("two.wav", 0.5, rate=44_100, channels=2)
    manifest = Manifest(tmp_path / "m.tsv", (Row("two", "two.wav", 8000, "x"),))
    for audio in ("original", "flac"):
        write_shar(manifest, tmp_path / audio, audio=audio)
        (row,) = rows_of(tmp_path / audio)
        assert row.n_frames == 8000
        assert torch.equal(read_audio(row.audio, tmp_path / audio, 44_100), read_audio("two.wav", tmp_path, 44_100))


def test_the_same_rows_give_the_same_bytes(tmp_path, manifest):
    for name in ("a", "b"):
        write_shar(manifest, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert hash_file(file) == hash_file(tmp_path / "b" / file.name)


def test_bad_rows_stop_or_are_reported(tmp_path, manifest, write_audio):
    (tmp_path / "u3.wav").write_bytes(b"no audio")
    (tmp_path / "u5.wav").unlink()
    with pytest.raises(DataError, match=r"train.tsv:5: u3: .*\n.*--on-bad-rows drop"):
        write_shar(manifest, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    report = write_shar(manifest, tmp_path / "out", on_bad_rows="drop")
    assert report.rows == 10
    assert [id for id, _ in report.left_out] == ["u3", "u5"]
    assert "2 left out" in report.summary(tmp_path / "out")
    assert len(rows_of(tmp_path / "out")) == 10


def test_nothing_is_written_over_or_left_half(tmp_path, manifest):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(DataError, match="must be a new or empty folder"):
        write_shar(manifest, tmp_path / "out")

    def interrupt(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shar(manifest, tmp_path / "new", progress=interrupt, shard_rows=3)
    assert sorted(path.name for path in tmp_path.iterdir() if "new" in path.name) == []


def test_an_id_that_is_no_file_name(tmp_path, write_audio):
    write_audio("a.wav")
    write_manifest(tmp_path / "m.tsv", [Row("a/b", "a.wav", 8000, "x")])
    with pytest.raises(DataError, match="must hold no /"):
        write_shar(read_manifest(tmp_path / "m.tsv"), tmp_path / "out")


def test_float_samples_become_24_bit_flac(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 8000)
    soundfile.write(tmp_path / "f.wav", samples, 16_000, subtype="FLOAT")
    write_shar(Manifest(tmp_path / "m.tsv", (Row("f", "f.wav", 8000, "x"),)), tmp_path / "out", audio="flac")
    (row,) = rows_of(tmp_path / "out")
    got = read_audio(row.audio, tmp_path / "out", 16_000).numpy()
    assert np.abs(got - samples).max() < 2**-22
    soundfile.write(tmp_path / "f.wav", 4 * samples, 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"m.tsv:0: f: flac holds samples of at most 1, got"):
        write_shar(Manifest(tmp_path / "m.tsv", (Row("f", "f.wav", 8000, "x"),)), tmp_path / "loud", audio="flac")
