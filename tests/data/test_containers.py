"""Files that announce more or less than can be decoded. The oracle is how the bytes were made."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aista.data.audio import probe_audio, read_audio
from aista.data.audio_file import EmptyAudioError, UndecodableAudioError
from aista.data.containers import announced_samples

RATE = 16_000
SAMPLES = 5 * RATE
WAVE = 0.3 * np.sin(np.arange(SAMPLES) / 7) * np.linspace(0.01, 1, SAMPLES)

ENCODINGS = {
    "wav": ("WAV", "PCM_16"),
    "24.wav": ("WAV", "PCM_24"),
    "float.wav": ("WAV", "FLOAT"),
    "ulaw.wav": ("WAV", "ULAW"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "sph": ("NIST", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


def encode(name: str, wave: np.ndarray = WAVE, **options: object) -> bytes:
    buffer = io.BytesIO()
    container, subtype = ENCODINGS[name]
    soundfile.write(buffer, wave, RATE, format=container, subtype=subtype, **options)
    return buffer.getvalue()


def mpeg_frames(data: bytes, rate: int = RATE) -> list[bytes]:
    """The frames of a layer III file (MPEG-1 from 32 kHz on, MPEG-2 below), found by the sizes in its headers."""
    rates = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
    if rate >= 32_000:
        rates = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
    factor = 144 if rate >= 32_000 else 72
    frames = []
    while len(data) > 4:
        (head,) = struct.unpack(">I", data[:4])
        size = factor * rates[head >> 12 & 15] * 1000 // rate + (head >> 9 & 1)
        frames.append(data[:size])
        data = data[size:]
    return frames


def fault(folder: Path, name: str, content: bytes) -> str:
    """What is wrong with a file, and with the same bytes in an archive."""
    (folder / name).write_bytes(content)
    (folder / "archive.zip").write_bytes(b"before" + content + b"behind")
    messages = []
    for spec in (name, f"archive.zip:6:{len(content)}"):
        with pytest.raises((UndecodableAudioError, EmptyAudioError)) as caught:
            probe_audio(spec, folder)
        messages.append(str(caught.value).removeprefix(f"{spec}: "))
    assert messages[0] == messages[1]
    return messages[0]


def held(folder: Path, name: str, content: bytes) -> int:
    (folder / name).write_bytes(content)
    return probe_audio(name, folder).num_samples


@pytest.mark.parametrize("name", ENCODINGS)
def test_whole_files_are_read_wholly(tmp_path: Path, name: str) -> None:
    assert held(tmp_path, name, encode(name)) == SAMPLES
    assert held(tmp_path, name, encode(name, np.stack([WAVE, WAVE], 1)[: SAMPLES // 3 + 1])) == SAMPLES // 3 + 1


@pytest.mark.parametrize("missing", [2, 300, 3_000])
@pytest.mark.parametrize("name", ENCODINGS)
def test_a_file_that_lacks_its_end_is_cut_short(tmp_path: Path, name: str, missing: int) -> None:
    message = fault(tmp_path, name, encode(name)[:-missing])
    assert "the file is cut short: copy it again" in message or (name == "flac" and "lost sync" in message)


@pytest.mark.parametrize("name", ENCODINGS)
def test_joined_files_are_refused(tmp_path: Path, name: str) -> None:
    message = fault(tmp_path, name, encode(name) * 2)
    assert "several files are joined" in message or "Error in WAV file" in message or "Error in AIFF file" in message


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF])
def test_a_streamed_wav_does_not_know_its_size(tmp_path: Path, size: int) -> None:
    content = bytearray(encode("wav"))
    place = content.index(b"data")
    content[4:8] = content[place + 4 : place + 8] = struct.pack("<I", size)
    assert held(tmp_path, "a.wav", bytes(content)) == SAMPLES


def test_a_streamed_wav_without_a_size_is_no_empty_one(tmp_path: Path) -> None:
    content = bytearray(encode("wav"))
    place = content.index(b"data")
    content[4:8] = content[place + 4 : place + 8] = bytes(4)
    assert fault(tmp_path, "a.wav", bytes(content)).startswith(f"its header announces no samples, {2 * SAMPLES} bytes")
    assert fault(tmp_path, "a.wav", encode("wav", WAVE[:0])).startswith("holds no samples")


def test_a_streamed_flac_does_not_know_its_length(tmp_path: Path) -> None:
    content = bytearray(encode("flac"))
    content[21] &= 0xF0  # 36 bits of samples, from the last half of byte 21 on
    content[22:26] = bytes(4)
    assert held(tmp_path, "a.flac", bytes(content)) == SAMPLES
    assert len(read_audio("a.flac", tmp_path, RATE)) == SAMPLES


def test_what_stands_behind_the_samples_is_no_fault(tmp_path: Path) -> None:
    odd = encode("24.wav", WAVE[:8_001])
    assert len(odd) % 2 == 0
    assert held(tmp_path, "a.wav", odd[:-1]) == 8_001  # without the padding of an odd chunk
    chunk = b"LIST" + struct.pack("<I", 4) + b"INFO"
    size = struct.unpack("<I", odd[4:8])[0] + len(chunk)
    assert held(tmp_path, "a.wav", odd[:4] + struct.pack("<I", size) + odd[8:] + chunk) == 8_001
    assert held(tmp_path, "a.mp3", encode("mp3") + b"TAG" + bytes(125)) == SAMPLES


def test_chained_ogg_streams_are_joined_but_multiplexed_ones_are_not(tmp_path: Path) -> None:
    content = encode("opus")
    skeleton = b"OggS\0\x02" + bytes(20) + b"\x01\x08" + b"fishead\0"
    last = bytearray(content)
    last[content.rindex(b"OggS") + 5] &= ~4  # the end flag
    assert "its last page of Ogg is missing" in fault(tmp_path, "a.opus", bytes(last))
    assert "several files are joined" in fault(tmp_path, "a.opus", content + skeleton)


@pytest.mark.parametrize("tag", [b"", b"ID3\x03\0\0\0\0\x02\x00" + bytes(256)])
@pytest.mark.parametrize("behind", [b"", b"TAG" + bytes(125), b"\xff" * 300])
def test_mpeg_frames_without_a_header_are_counted(tmp_path: Path, tag: bytes, behind: bytes) -> None:
    frames = mpeg_frames(encode("mp3", bitrate_mode="CONSTANT", compression_level=0.4))[1:]
    assert abs(held(tmp_path, "a.mp3", tag + b"".join(frames) + behind) - 576 * len(frames)) <= 576


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (22_050, 2), (44_100, 1), (48_000, 2)])
@pytest.mark.parametrize("tag", [b"", b"ID3\x03\0\0\0\0\x02\x00" + bytes(256)])
def test_a_variable_bit_rate_without_a_header_is_decoded_to_its_end(
    tmp_path: Path, rate: int, channels: int, tag: bytes
) -> None:
    noise = np.random.default_rng(1).standard_normal((2 * rate, channels)) * np.repeat([1e-4, 0.3], rate)[:, None]
    file = io.BytesIO()
    soundfile.write(file, noise, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.3)
    frames = mpeg_frames(file.getvalue(), rate)
    assert b"Xing" in frames[0]
    (tmp_path / "a.mp3").write_bytes(tag + b"".join(frames[1:]))
    (tmp_path / "a.zip").write_bytes(b"before" + tag + b"".join(frames[1:]))
    assert soundfile.info(tmp_path / "a.mp3").frames < 1.9 * rate  # libsndfile's estimate
    wave = read_audio("a.mp3", tmp_path, rate)
    held = 1152 if rate >= 32_000 else 576  # samples of a frame
    assert abs(len(wave) - held * (len(frames) - 1)) <= held
    (tmp_path / "whole.mp3").write_bytes(file.getvalue())
    whole = read_audio("whole.mp3", tmp_path, rate)
    assert float(wave[-rate // 2 :].std()) == pytest.approx(float(whole[-rate // 2 :].std()), rel=0.1)
    size = (tmp_path / "a.mp3").stat().st_size
    assert torch.equal(read_audio(f"a.zip:6:{size}", tmp_path, rate), wave)


def test_what_stands_before_the_header_is_no_fault(tmp_path: Path) -> None:
    assert held(tmp_path, "a.mp3", bytes(2_000) + encode("mp3")) == SAMPLES


class Counted(io.BytesIO):
    """Counts how often it is read."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


@pytest.mark.parametrize("behind", [bytes(10**6), b"\xff" * 10**6, np.random.default_rng(0).bytes(10**6)])
def test_what_stands_behind_mpeg_frames_is_searched_by_blocks(behind: bytes) -> None:
    content = encode("mp3")
    frames = len(mpeg_frames(content))
    file = Counted(content + behind)
    assert announced_samples(file, len(content) + len(behind), "MP3", SAMPLES) == SAMPLES
    assert file.reads < 5 * frames + 1_000
