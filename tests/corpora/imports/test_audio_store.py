"""Files stay where they are; bytes and segments are written once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aista.corpora.imports.audio_store import AudioStore, SegmentError
from aista.data.audio_file import MissingAudioError, UndecodableAudioError
from aista.data.sources.base import Recording

RATE = 8_000
RAMP = np.linspace(-0.9, 0.9, 3 * RATE)


@pytest.fixture
def store(tmp_path: Path) -> AudioStore:
    (tmp_path / "corpus" / "clips").mkdir(parents=True)
    soundfile.write(tmp_path / "corpus" / "clips" / "a.wav", RAMP, RATE)
    return AudioStore(tmp_path / "out", (tmp_path / "corpus", tmp_path / "corpus" / "clips"))


def written(out: Path) -> list[Path]:
    return sorted(path for path in out.rglob("*") if path.is_file())


def test_a_file_is_found_in_the_folders_and_with_an_ending(tmp_path: Path, store: AudioStore) -> None:
    for path in ("a.wav", "a", "clips/a.wav", str(tmp_path / "corpus/clips/a.wav")):
        assert store.place(Recording(path), "u") == "../corpus/clips/a.wav"
    assert written(tmp_path / "out") == []
    with pytest.raises(MissingAudioError, match=r"b\.wav: no such file in .*corpus, .*clips"):
        store.place(Recording("b.wav"), "u")


def test_files_elsewhere_have_absolute_paths(tmp_path: Path, store: AudioStore) -> None:
    elsewhere = AudioStore(tmp_path / "projects" / "mine", (tmp_path / "corpus" / "clips",))
    assert elsewhere.place(Recording("a.wav"), "u") == str(tmp_path / "corpus" / "clips" / "a.wav")


def test_parts_of_archives_stay_parts(tmp_path: Path, store: AudioStore) -> None:
    (tmp_path / "corpus" / "all.zip").write_bytes(b"x" * 100)
    assert store.place(Recording("all.zip:10:20"), "u") == "../corpus/all.zip:10:20"


def test_segments_are_cut_out_of_parts_of_archives(tmp_path: Path, store: AudioStore) -> None:
    content = (tmp_path / "corpus" / "clips" / "a.wav").read_bytes()
    (tmp_path / "corpus" / "all.ark").write_bytes(b"u1 " + content + b"more")
    name = store.place(Recording(f"all.ark:3:{len(content)}", None, 1.0, 0.5), "u")
    samples_W, _ = soundfile.read(tmp_path / "out" / name)
    np.testing.assert_allclose(samples_W, RAMP[RATE : RATE + RATE // 2], atol=2**-15)


def test_bytes_are_stored_as_they_are_and_once(tmp_path: Path, store: AudioStore) -> None:
    content = (tmp_path / "corpus" / "clips" / "a.wav").read_bytes()
    first = store.place(Recording("x.bin", content), "an id/with: signs")
    assert first.startswith("audio/")
    assert first.endswith(".wav")
    assert (tmp_path / "out" / first).read_bytes() == content
    before = (tmp_path / "out" / first).stat().st_mtime_ns
    assert store.place(Recording("x.bin", content), "an id/with: signs") == first
    assert (tmp_path / "out" / first).stat().st_mtime_ns == before
    assert len(written(tmp_path / "out")) == 1


@pytest.mark.parametrize("inside", [False, True])
def test_segments_are_cut_sample_by_sample(tmp_path: Path, store: AudioStore, inside: bool) -> None:
    content = (tmp_path / "corpus" / "clips" / "a.wav").read_bytes() if inside else None
    name = store.place(Recording("a.wav", content, 0.5, 1.25), "u")
    samples, rate = soundfile.read(tmp_path / "out" / name)
    assert rate == RATE
    np.testing.assert_allclose(samples, RAMP[RATE // 2 : RATE // 2 + 10_000], atol=2**-14)


def test_what_is_nearly_the_whole_file_is_the_file(store: AudioStore) -> None:
    assert store.place(Recording("a.wav", None, 0.0, 2.98), "u") == "../corpus/clips/a.wav"


@pytest.mark.parametrize(("start", "seconds"), [(3.5, 1.0), (2.0, 2.0), (3.0, None)])
def test_segments_outside_of_their_recording_are_refused(store: AudioStore, start: float, seconds: float) -> None:
    with pytest.raises(SegmentError, match=r"must lie within its recording of 3\.00 s"):
        store.place(Recording("a.wav", None, start, seconds), "u")


def test_a_segment_may_end_a_little_late(tmp_path: Path, store: AudioStore) -> None:
    name = store.place(Recording("a.wav", None, 2.0, 1.3), "u")
    assert soundfile.info(tmp_path / "out" / name).frames == RATE


def test_segments_of_what_is_no_audio(tmp_path: Path, store: AudioStore) -> None:
    (tmp_path / "corpus" / "text.wav").write_text("no audio")
    with pytest.raises(UndecodableAudioError, match="no segment of it can be read"):
        store.place(Recording("text.wav", None, 0.5, 1.0), "u")


def test_loud_float_audio_is_scaled_instead_of_clipped(tmp_path: Path, store: AudioStore) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, 2 * RAMP, RATE, format="WAV", subtype="FLOAT")
    name = store.place(Recording("loud.wav", buffer.getvalue(), 0.0, 1.0), "u")
    samples, _ = soundfile.read(tmp_path / "out" / name)
    np.testing.assert_allclose(samples, RAMP[:RATE] / 0.9, atol=2**-20)
