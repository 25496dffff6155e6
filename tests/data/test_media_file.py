"""Containers that libsndfile does not know, with PyAV and without."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aista.data.audio import probe_audio, read_audio
from aista.data.audio_file import UndecodableAudioError

KINDS = {
    "end.m4a": ("ipod", "aac"),  # its index is at the end
    "start.mp4": ("mp4", "aac", "faststart"),
    "a.webm": ("webm", "libopus"),
    "a.mkv": ("matroska", "libopus"),
    "a.aac": ("adts", "aac"),
}
RATE = 48_000


def write(path: Path, form: str, codec: str, flags: str = "", tracks: int = 1) -> None:
    """Two seconds of 300 Hz at half level in the left channel, silence in the right."""
    av = pytest.importorskip("av")
    tone = 0.5 * np.sin(2 * np.pi * 300 * np.arange(2 * RATE) / RATE)
    wave = np.stack([tone, 0 * tone]).astype(np.float32)
    with av.open(str(path), "w", format=form, options={"movflags": flags} if flags else {}) as media:
        streams = [media.add_stream(codec, rate=RATE) for _ in range(tracks)]
        for stream in streams:
            stream.layout = "stereo"
        for stream in streams:
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="stereo")
            frame.sample_rate = RATE
            size = stream.frame_size or 1024
            cut = av.AudioResampler(format=stream.format, layout="stereo", rate=RATE, frame_size=size)
            for part in cut.resample(frame) + cut.resample(None):
                part.pts = None
                media.mux(stream.encode(part))
            media.mux(stream.encode(None))


@pytest.fixture(params=KINDS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write(tmp_path / request.param, *KINDS[request.param])
    return tmp_path / request.param


def test_what_was_written_is_decoded(path: Path) -> None:
    info = probe_audio(path.name, path.parent)
    assert info[1:] == (RATE, 2)
    assert info.seconds == pytest.approx(2, abs=0.05)
    wave = read_audio(path.name, path.parent, RATE)
    power = torch.fft.rfft(wave[RATE // 2 : 3 * RATE // 2]).abs()
    assert int(power.argmax()) == 300
    assert float(power.max()) == pytest.approx(RATE / 2 * 0.25, rel=0.05)  # the mean of the channels


def test_a_part_of_an_archive(path: Path) -> None:
    archive = path.parent / "all.zip"
    archive.write_bytes(b"before" + path.read_bytes() + b"behind")
    spec = f"all.zip:6:{path.stat().st_size}"
    assert torch.equal(read_audio(spec, path.parent, RATE), read_audio(path.name, path.parent, RATE))


def test_a_file_that_lacks_its_end_is_refused(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 3 // 5 + 7)
    with pytest.raises(UndecodableAudioError, match=rf"^{path.name}: .*(cannot be decoded to its end|is cut short)"):
        probe_audio(path.name, path.parent)


def test_two_tracks_are_ambiguous(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", "matroska", "libopus", tracks=2)
    with pytest.raises(UndecodableAudioError, match=r"a\.mkv: must have one sound track, got 2; extract one"):
        probe_audio("a.mkv", tmp_path)


def test_without_the_package_the_container_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(99))
    with pytest.raises(
        UndecodableAudioError, match=r"a\.mp4: holds MPEG-4 .*; pip install 'aista\[media\]', or convert"
    ):
        probe_audio("a.mp4", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS, .* git lfs pull"),
        (b"\n<!doctype html><html>not found</html>", "is a web page, not a recording: download it again"),
        (
            b"\0\0\0\x20ftypisom" + bytes(99),
            r"holds MPEG-4 .* that cannot be decoded to its end \(.+\); copy or convert",
        ),
    ],
)
def test_what_is_no_recording_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    pytest.importorskip("av")
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UndecodableAudioError, match=rf"^a\.wav: {message}"):
        probe_audio("a.wav", tmp_path)
