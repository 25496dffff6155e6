from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aista.data.audio import probe_audio, read_audio
from aista.data.audio_file import (
    EmptyAudioError,
    MissingAudioError,
    TooLongAudioError,
    UndecodableAudioError,
    locate,
)
from tests.data.conftest import WriteAudio

TONE_HZ = 440


def tone(rate: int, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [("wav", "PCM_16", 1e-4), ("flac", "PCM_16", 1e-4), ("ogg", "VORBIS", 0.05), ("mp3", "MPEG_LAYER_III", 0.05)],
)
def test_formats_decode_to_what_was_written(tmp_path: Path, suffix: str, subtype: str, tolerance: float) -> None:
    soundfile.write(tmp_path / f"a.{suffix}", tone(16_000), 16_000, subtype=subtype)
    wave = read_audio(f"a.{suffix}", tmp_path, 16_000)
    assert wave.dtype == torch.float32
    assert wave.shape == (8_000,)
    middle = slice(1_000, 7_000)  # lossy codecs smear the ends
    error = (wave[middle] - torch.from_numpy(tone(16_000)).float()[middle]).abs().max()
    assert float(error) < tolerance
    assert probe_audio(f"a.{suffix}", tmp_path) == (8_000, 16_000, 1)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(rate), rate)
    wave = read_audio("a.wav", tmp_path, 16_000)
    assert len(wave) == 8_000
    middle = slice(500, 7_500)
    torch.testing.assert_close(wave[middle], torch.from_numpy(tone(16_000)).float()[middle], atol=5e-3, rtol=0)
    assert probe_audio("a.wav", tmp_path).seconds == 0.5


@pytest.mark.parametrize("rate", [44_101, 2**31 - 1])
def test_rates_whose_filter_would_take_gigabytes_are_refused(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(8_000), rate)
    with pytest.raises(UndecodableAudioError, match=rf"a\.wav: its sample rate of {rate} Hz has so little in common"):
        read_audio("a.wav", tmp_path, 16_000)


def test_channels_are_averaged(tmp_path: Path) -> None:
    stereo = np.stack([np.full(100, 0.25), np.full(100, 0.75)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16_000, subtype="FLOAT")
    torch.testing.assert_close(read_audio("a.wav", tmp_path, 16_000), torch.full((100,), 0.5))
    assert probe_audio("a.wav", tmp_path).num_channels == 2


def test_absolute_paths_leave_the_base_alone(write_audio: WriteAudio) -> None:
    path = write_audio("a.wav")
    assert len(read_audio(str(path), Path("/elsewhere"), 16_000)) == 8_000


def test_slices_of_a_zip(tmp_path: Path, write_audio: WriteAudio) -> None:
    files = [write_audio("a.flac", seed=1), write_audio("b.flac", seed=2)]
    with zipfile.ZipFile(tmp_path / "clips.zip", "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.write(file, file.name)
    content = (tmp_path / "clips.zip").read_bytes()
    for file in files:
        spec = f"clips.zip:{content.index(file.read_bytes())}:{file.stat().st_size}"
        torch.testing.assert_close(read_audio(spec, tmp_path, 16_000), read_audio(file.name, tmp_path, 16_000))


def test_a_slice_beyond_the_archive(tmp_path: Path, write_audio: WriteAudio) -> None:
    size = write_audio("a.wav").stat().st_size
    with pytest.raises(UndecodableAudioError, match=rf"the archive ends after {size - 100} of 1000000000000 bytes"):
        read_audio("a.wav:100:1000000000000", tmp_path, 16_000)


@pytest.mark.parametrize("spec", ["gone.wav", "gone.zip:0:10", "a.wav/b.wav"])
def test_missing_files_are_named_with_their_full_path(tmp_path: Path, spec: str) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(MissingAudioError, match="no such file") as caught:
        read_audio(spec, tmp_path, 16_000)
    assert str(locate(spec, tmp_path).path) in str(caught.value)
    assert str(caught.value).startswith(spec)


def test_undecodable_files(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("this is no audio")
    with pytest.raises(
        UndecodableAudioError, match=r"a\.wav: must be audio that libsndfile decodes .* got: .*; convert"
    ):
        read_audio("a.wav", tmp_path, 16_000)


def test_a_raw_file_does_not_say_its_rate(tmp_path: Path) -> None:
    (tmp_path / "a.RAW").write_bytes(bytes(range(200)))
    with pytest.raises(UndecodableAudioError, match=r"^a\.RAW: files named \.raw are samples without a header"):
        probe_audio("a.RAW", tmp_path)


def test_empty_silent_and_non_finite_files(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    with pytest.raises(EmptyAudioError, match=r"none\.wav: holds no samples"):
        read_audio("none.wav", tmp_path, 16_000)
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(EmptyAudioError, match=r"empty\.mp3: the file is empty"):
        read_audio("empty.mp3", tmp_path, 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(100), 16_000)
    with pytest.raises(EmptyAudioError, match="every sample is zero"):
        probe_audio("silent.wav", tmp_path)
    soundfile.write(tmp_path / "nan.wav", np.array([0.1, np.nan]), 16_000, subtype="FLOAT")
    with pytest.raises(UndecodableAudioError, match="samples must be finite"):
        probe_audio("nan.wav", tmp_path)


def test_the_check_looks_at_what_the_model_gets(tmp_path: Path) -> None:
    wave = tone(16_000).astype(np.float32)
    soundfile.write(tmp_path / "opposite.wav", np.stack([wave, -wave], 1), 16_000)
    soundfile.write(tmp_path / "opposite.mp3", np.stack([wave, -wave], 1), 16_000, bitrate_mode="CONSTANT")
    for name in ("opposite.wav", "opposite.mp3"):
        with pytest.raises(EmptyAudioError, match="is silent: they have opposite phases"):
            read_audio(name, tmp_path, 16_000)
    soundfile.write(tmp_path / "one_side.wav", np.stack([wave, 0 * wave], 1), 16_000)
    assert probe_audio("one_side.wav", tmp_path) == (8_000, 16_000, 2)
    loud = np.full((800, 2), 3e38, np.float32)  # finite, but their sum is not
    soundfile.write(tmp_path / "loud.wav", loud, 16_000, subtype="FLOAT")
    with pytest.raises(UndecodableAudioError, match=r"loud\.wav: samples must be finite and at most .*, got inf"):
        probe_audio("loud.wav", tmp_path)


def test_the_header_tells_what_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.wav", tone(8_000, 3), 8_000)
    assert probe_audio("a.wav", tmp_path, max_seconds=3).seconds == 3
    monkeypatch.setattr(soundfile.SoundFile, "read", None)  # nothing may be decoded
    with pytest.raises(
        TooLongAudioError, match=r"a\.wav: must last at most 2\.5 s, got 3\.00 s; cut it, or raise"
    ) as e:
        read_audio("a.wav", tmp_path, 16_000, max_seconds=2.5)
    assert e.value.seconds == 3


def test_probing_holds_one_block(tmp_path: Path) -> None:
    """An hour of stereo is 460 MB of float32; what Python allocates of it stays below a few blocks."""
    with soundfile.SoundFile(tmp_path / "hour.wav", "w", 16_000, 2) as file:
        minute = np.stack([tone(16_000, 60)] * 2, 1)
        for _ in range(60):
            file.write(minute)
    tracemalloc.start()
    try:
        assert probe_audio("hour.wav", tmp_path).seconds == 3_600
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
