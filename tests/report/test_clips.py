from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aista.data.manifest import Row, write_manifest
from aista.errors import DataError
from aista.report.clips import NUM_MELS, matrix, read_clips

SECONDS = {"a": 1.0, "b": 4.0, "c": 1.0}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = []
    for name, seconds in SECONDS.items():
        wave = 0.4 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * 16_000)) / 16_000)
        soundfile.write(str(tmp_path / f"{name}.wav"), wave, 16_000)
        rows.append(Row(name, f"{name}.wav", len(wave), "t"))
    rows.append(Row("text", "", 0, "t"))
    rows.append(Row("gone", "gone.wav", 16_000, "t"))
    write_manifest(tmp_path / "test.tsv", rows)
    return tmp_path / "test.tsv"


def decoded(uri: str) -> np.ndarray:
    head, text = uri.split(",")
    assert head == "data:audio/mpeg;base64"
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(text)))
    assert rate == 16_000
    return np.asarray(wave)


def test_clips_are_the_sound_and_drawn_ones_come_first(manifest: Path) -> None:
    clips, problems = read_clips(manifest, ["a", "c"], ["b"], max_clips=2, max_bytes=10**6)
    assert problems == []
    assert [(clip.id, clip.spectrogram is None) for clip in clips] == [("b", False), ("a", True)]
    wave = decoded(clips[1].audio)
    peak = np.abs(np.fft.rfft(wave)).argmax() * 16_000 / len(wave)
    assert len(wave) / 16_000 == pytest.approx(1.0, abs=0.1)
    assert peak == pytest.approx(440, abs=3)
    assert clips[0].spectrogram is not None
    assert (clips[0].spectrogram.rows, clips[0].spectrogram.columns) == (NUM_MELS, 401)


def test_the_budget_leaves_out_what_does_not_fit_but_keeps_its_spectrogram(manifest: Path) -> None:
    (short, *_), _ = read_clips(manifest, ["a"], [], max_clips=1, max_bytes=10**6)
    size = len(base64.b64decode(short.audio.split(",")[1]))
    clips, _ = read_clips(manifest, ["a", "c"], ["b"], max_clips=9, max_bytes=size + 10)
    assert [(clip.id, bool(clip.audio)) for clip in clips] == [("b", False), ("a", True)]
    assert read_clips(manifest, ["a"], [], max_clips=0, max_bytes=10**6) == ([], [])


def test_what_cannot_be_read_is_told(manifest: Path) -> None:
    clips, problems = read_clips(manifest, ["text", "gone", "unknown", "a"], [], max_clips=9, max_bytes=10**6)
    assert [clip.id for clip in clips] == ["a"]
    assert [problem.split(":")[0] for problem in problems] == [
        "audio of utterance text",
        "audio of utterance gone",
        "audio of utterance unknown",
    ]
    with pytest.raises(DataError, match="no such manifest"):
        read_clips(manifest.with_name("other.tsv"), ["a"], [], max_clips=1, max_bytes=1)


def test_a_matrix_keeps_its_values_to_a_255th() -> None:
    values = torch.rand(3, 5) * 7
    found = matrix(values)
    levels = np.frombuffer(base64.b64decode(found.data), dtype=np.uint8).reshape(found.rows, found.columns)
    np.testing.assert_allclose(levels / 255 * found.largest, values.numpy(), atol=found.largest / 500)
    assert set(base64.b64decode(matrix(torch.zeros(2, 2)).data)) == {0}
