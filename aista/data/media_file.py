"""Audio in containers that libsndfile does not support (m4a, mp4, webm, aac, wma), read by PyAV if installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aista.extras import needs

__all__ = ["Container", "MediaFile", "find_container", "is_no_audio"]

_ROUNDING = 0.5  # seconds by which containers that are whole announce more than they hold


class Container(NamedTuple):
    """A container by its first bytes, with the FFmpeg demuxer to use, so that the file cannot choose one."""

    begins: re.Pattern[bytes]
    name: str
    demuxer: str
    says_duration: bool = True


_CONTAINERS = (
    Container(re.compile(rb".{4}ftyp", re.DOTALL), "MPEG-4 (m4a, mp4, mov)", "mov"),
    Container(re.compile(rb"\x1aE\xdf\xa3"), "Matroska or WebM", "matroska"),
    Container(re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), "AAC", "aac", says_duration=False),
    Container(re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), "Windows Media (wma)", "asf"),
    Container(re.compile(rb"#!AMR"), "AMR", "amr", says_duration=False),
)
_NO_AUDIO = (
    (re.compile(rb"version https://git-lfs"), "is a pointer of Git LFS, not the recording: fetch it by git lfs pull"),
    (re.compile(rb"\s*<(?:!DOCTYPE|html|\?xml)", re.IGNORECASE), "is a web page, not a recording: download it again"),
)


def find_container(head: bytes) -> Container | None:
    """The container that begins with these bytes; None if it is not read here."""
    return next((container for container in _CONTAINERS if container.begins.match(head)), None)


def is_no_audio(head: bytes) -> str:
    """The kind of a non-audio file that begins with these bytes, with the remedy; or an empty string."""
    return next((what for begins, what in _NO_AUDIO if begins.match(head)), "")


class MediaFile:
    """The single audio track of a container, read in blocks like ``ForwardFile``.

    Attributes:
        format: No container of libsndfile.
        samplerate: In Hz.
        channels: Their number.
        frames: Samples per channel that the container announces at least; 0 where it does not say.

    Raises:
        ValueError: PyAV is not installed, there is another number of tracks, or they cannot be decoded to their end;
            with the remedy.
    """

    format = "MEDIA"

    def __init__(self, file: BinaryIO, container: Container) -> None:
        try:
            import av
        except ImportError:
            raise ValueError(
                f"holds {container.name}, which {needs('av')}, or convert it, for example by ffmpeg -i FILE FILE.flac"
            ) from None
        self._kind = container.name
        self._refusal: type[Exception] = av.error.FFmpegError
        try:
            self._media = av.open(file, format=container.demuxer)
        except self._refusal as error:
            raise self._damaged(error) from error
        tracks = self._media.streams.audio
        if len(tracks) != 1:
            raise ValueError(
                f"must have one sound track, got {len(tracks)}; extract one, for example by ffmpeg -i FILE -map 0:a:0 "
                "FILE.flac"
            )
        (track,) = tracks
        self.samplerate: int = track.rate
        self.channels: int = track.channels
        seconds = self._media.duration / av.time_base if self._media.duration and container.says_duration else 0.0
        self.frames = max(0, int((seconds - _ROUNDING) * self.samplerate))
        self._resampler = av.AudioResampler(format="flt", layout=track.layout, rate=track.rate)
        self._blocks = self._decoded(track)
        self._held_NC = np.zeros((0, self.channels), np.float32)

    def __enter__(self) -> MediaFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self._media.close()

    def read(self, size: int, **_: object) -> NDArray[np.float32]:
        """The next ``[N, C]`` samples, at most ``size``; none at the end."""
        parts_NC, count = [self._held_NC], len(self._held_NC)
        while count < size and (block_NC := next(self._blocks, None)) is not None:
            parts_NC.append(block_NC)
            count += len(block_NC)
        all_NC = np.concatenate(parts_NC)
        self._held_NC = all_NC[size:]
        return all_NC[:size]

    def _decoded(self, track: Any) -> Iterator[NDArray[np.float32]]:
        try:
            for frame in self._media.decode(track):
                for packed in self._resampler.resample(frame):
                    yield packed.to_ndarray().reshape(-1, self.channels)
        except self._refusal as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> ValueError:
        reason = getattr(error, "strerror", None) or str(error)
        return ValueError(f"holds {self._kind} that cannot be decoded to its end ({reason}); copy or convert it again")
