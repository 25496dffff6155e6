"""What the system says about an utterance's file is a fault of its row."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aista.data.audio import probe_audio, read_audio
from aista.data.audio_file import MissingAudioError, UndecodableAudioError, hash_audio, locate
from aista.data.data_config import DataConfig
from aista.data.inspection import inspect
from aista.data.manifest import Manifest, Row
from aista.data.manifest_rows import Rows
from tests.data.conftest import WriteAudio

READERS: list[Callable[[str, Path], object]] = [
    hash_audio,
    probe_audio,
    lambda spec, base: read_audio(spec, base, 16_000),
]


@pytest.fixture
def locked(write_audio: WriteAudio) -> str:
    """A file that its owner alone may read, and not even he."""
    path = write_audio("locked.wav")
    path.chmod(0)
    return path.name


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Root may read everything; nobody may not."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def refused(spec: str, base: Path, error: type[Exception] = MissingAudioError) -> set[str]:
    """What each reader says."""
    messages = set()
    for reader in READERS:
        with pytest.raises(error) as caught:
            reader(spec, base)
        messages.add(str(caught.value))
    return messages


def test_a_file_that_is_called_like_a_slice_is_a_file(tmp_path: Path, write_audio: WriteAudio) -> None:
    write_audio("take.wav").rename(tmp_path / "take_10:20:30")
    assert locate("take_10:20:30", tmp_path) == (tmp_path / "take_10:20:30", 0, None)
    assert probe_audio("take_10:20:30", tmp_path).num_samples == 8_000
    assert locate("other_10:20:30", tmp_path) == (tmp_path / "other_10", 20, 30)


def test_names_that_are_no_utf_8_can_be_opened(tmp_path: Path, write_audio: WriteAudio) -> None:
    name = os.fsdecode(b"caf\xe9.wav")
    write_audio("a.wav").rename(tmp_path / name)
    assert probe_audio(name, tmp_path).num_samples == 8_000


def test_a_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "a.zip").write_bytes(content)
    assert hash_audio("a.zip", tmp_path) == hashlib.sha256(content).hexdigest()
    assert hash_audio("a.zip:7:2000000", tmp_path) == hashlib.sha256(content[7:2_000_007]).hexdigest()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("a sentence in the wrong column " * 10, "File name too long; does the audio column hold a text"),
        ("a\0.wav", "a path must not contain the character NUL"),
        ("gone.zip:0:" + "9" * 5_000, "File name too long"),
        ("gone.zip:\u0661:2", "no such file"),
        ("loop", "cannot be read: Too many levels of symbolic links"),
        (".", "must be a file, got a folder"),
        ("pipe", "must be a file, got a named pipe"),
        ("socket", "must be a file, got a socket"),
        ("/dev/zero", "must be a file, got a device"),
    ],
)
def test_what_is_no_readable_file(tmp_path: Path, spec: str, message: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    said = refused(spec, tmp_path)
    assert len(said) == 1
    assert message in said.pop()


def test_an_unreadable_file_is_the_fault_of_its_row(tmp_path: Path, locked: str, unprivileged: None) -> None:
    assert all(f"{locked}: cannot be read: Permission denied" in text for text in refused(locked, tmp_path))
    manifest = Manifest(tmp_path / "m.tsv", Rows.of([Row("u", locked, 8_000, "x", line=2)]))
    (problem,) = inspect(manifest, DataConfig()).problems
    assert (problem.kind, problem.line) == ("missing file", 2)


def test_an_archive_that_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"0123456789")
    for spec, left in (("a.zip:4:1000000000000", 6), ("a.zip:900000000000000000:1", 0)):
        assert all(f"the archive ends after {left} of" in s for s in refused(spec, tmp_path, UndecodableAudioError))


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_a_disk_that_fails_while_a_file_is_read(
    tmp_path: Path, write_audio: WriteAudio, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    write_audio("a.flac", seconds=5)
    before, reads = os.preadv, 0

    def fail(*arguments: Any) -> int:
        nonlocal reads
        reads += 1
        if reads % 3 == 0:
            raise OSError(code, os.strerror(code))
        return before(*arguments)

    monkeypatch.setattr(os, "preadv", fail)
    message = f"a.flac:0:100000: cannot be read: {os.strerror(code)}; check its permissions and the disk"
    with pytest.raises(MissingAudioError, match=re.escape(message)):
        probe_audio("a.flac:0:100000", tmp_path)
