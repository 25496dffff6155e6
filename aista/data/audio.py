"""Audio files -> mono float32 waveforms."""

from __future__ import annotations

import functools
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import soundfile
import torch
from torch import Tensor
from torchaudio.transforms import Resample

from aista.errors import DataError

__all__ = [
    "AudioInfo",
    "EmptyAudioError",
    "MissingAudioError",
    "UndecodableAudioError",
    "hash_audio",
    "locate",
    "one_thread",
    "probe_audio",
    "read_audio",
]

_SLICE = re.compile(r"(?P<path>.+):(?P<offset>\d+):(?P<length>\d+)")


class MissingAudioError(DataError):
    """The audio file, or a part of an archive, is not there."""


class UndecodableAudioError(DataError):
    """The file holds something else than audio that libsndfile decodes to finite samples."""


class EmptyAudioError(DataError):
    """The file has no samples, or every sample is zero."""


class Location(NamedTuple):
    """Where an utterance's bytes are: a whole file, or ``length`` bytes of it from ``offset``."""

    path: Path
    offset: int = 0
    length: int | None = None


class AudioInfo(NamedTuple):
    """What a file really holds, found by decoding it to the end."""

    num_samples: int
    sample_rate: int
    num_channels: int

    @property
    def seconds(self) -> float:
        """True duration."""
        return self.num_samples / self.sample_rate


def locate(spec: str, base: Path) -> Location:
    """Resolve a manifest's ``audio`` field: a path (relative to ``base``) or ``file.zip:offset:length``."""
    match = _SLICE.fullmatch(spec)
    if match is None:
        return Location(base / spec)
    return Location(base / match["path"], int(match["offset"]), int(match["length"]))


def read_audio(spec: str, base: Path, sample_rate: int) -> Tensor:
    """Decode one utterance.

    Several channels are averaged into one; another sample rate is resampled (windowed sinc, torchaudio).
    Samples are what the file holds, in [-1, 1] for integer formats; nothing is normalised or cut.

    Args:
        spec: The manifest's ``audio`` field.
        base: The manifest's folder.
        sample_rate: Wanted rate in Hz.

    Returns:
        ``[W]`` float32.

    Raises:
        DataError: the file is missing, undecodable or without samples.
    """
    wave_WC, rate = _decode(spec, base)
    wave_W = wave_WC.mean(dim=1)
    return wave_W if rate == sample_rate else _resampler(rate, sample_rate)(wave_W)


def probe_audio(spec: str, base: Path) -> AudioInfo:
    """Decode one utterance and say what it holds.

    Raises:
        MissingAudioError: no such file.
        UndecodableAudioError: not audio, cut short, or with NaN or infinite samples.
        EmptyAudioError: no samples, or digital silence throughout.
    """
    wave_WC, rate = _decode(spec, base)
    if not bool(torch.isfinite(wave_WC).all()):
        raise UndecodableAudioError(f"{spec}: samples must be finite, found NaN or infinity; encode the file again")
    if not bool(wave_WC.any()):
        raise EmptyAudioError(f"{spec}: every sample is zero; record or cut it again, or remove the row")
    return AudioInfo(wave_WC.size(0), rate, wave_WC.size(1))


def hash_audio(spec: str, base: Path) -> str:
    """SHA-256 of one utterance's bytes as they lie on disk: the whole file, or its part of an archive.

    Raises:
        MissingAudioError: no such file, or it cannot be read.
        UndecodableAudioError: the archive ends before the part does.
    """
    location = locate(spec, base)
    try:
        content = location.path.read_bytes() if location.length is None else _read_slice(location)
    except OSError as error:
        raise MissingAudioError(f"{spec}: cannot be read: {error.strerror or error} ({location.path})") from error
    return hashlib.sha256(content).hexdigest()


@contextmanager
def one_thread() -> Iterator[None]:
    """One intra-op thread: resampling and matrix products of short clips depend on their number in the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _decode(spec: str, base: Path) -> tuple[Tensor, int]:
    location = locate(spec, base)
    try:
        source = location.path if location.length is None else io.BytesIO(_read_slice(location))
        with soundfile.SoundFile(source) as file:
            announced = file.frames
            samples = file.read(dtype="float32", always_2d=True)
            rate = file.samplerate
    except (FileNotFoundError, IsADirectoryError):
        raise MissingAudioError(_missing(spec, location)) from None
    except OSError as error:
        raise MissingAudioError(f"{spec}: cannot be read: {error.strerror or error} ({location.path})") from error
    except soundfile.LibsndfileError as error:
        if not location.path.is_file():
            raise MissingAudioError(_missing(spec, location)) from None
        raise UndecodableAudioError(
            f"{spec}: must be audio that libsndfile decodes (wav, flac, ogg, mp3), got: "
            f"{error.error_string.rstrip('.')}; convert or replace the file"
        ) from error
    if len(samples) < announced:
        raise UndecodableAudioError(
            f"{spec}: its header announces {announced} samples, only {len(samples)} can be decoded; "
            "the file is cut short: copy it again"
        )
    if len(samples) == 0:
        raise EmptyAudioError(f"{spec}: holds no samples; replace the file or remove the row")
    return torch.from_numpy(samples), rate


def _missing(spec: str, location: Location) -> str:
    return (
        f"{spec}: no such file ({location.path}); paths are relative to the manifest's folder, absolute, "
        "or file.zip:offset:length"
    )


def _read_slice(location: Location) -> bytes:
    assert location.length is not None
    with location.path.open("rb") as file:
        file.seek(location.offset)
        content = file.read(location.length)
    if len(content) < location.length:
        raise UndecodableAudioError(
            f"{location.path}:{location.offset}:{location.length}: the archive ends after {len(content)} of "
            f"{location.length} bytes; make the manifest from this archive"
        )
    if content.startswith(b"\x93NUMPY"):
        raise UndecodableAudioError(
            f"{location.path}:{location.offset}:{location.length}: holds a NumPy array (precomputed features); "
            "aista reads audio, so point the manifest at the recordings"
        )
    return content


@functools.lru_cache(maxsize=16)
def _resampler(old_rate: int, new_rate: int) -> Callable[[Tensor], Tensor]:
    resample: Callable[[Tensor], Tensor] = Resample(old_rate, new_rate)
    return resample
