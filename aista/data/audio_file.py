"""The bytes of an utterance: a file or a part of an archive. Errors of the operating system are faults of the row."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import override

from aista.errors import DataError

__all__ = [
    "EmptyAudioError",
    "Location",
    "MissingAudioError",
    "Part",
    "TooLongAudioError",
    "UndecodableAudioError",
    "file_status",
    "hash_audio",
    "locate",
    "open_audio",
    "shown",
]

_SLICE = re.compile(r"(?P<path>.+):(?P<offset>[0-9]{1,18}):(?P<length>[0-9]{1,18})", re.DOTALL)
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
_BLOCK = 2**20


class MissingAudioError(DataError):
    """The audio file does not exist or cannot be read."""


class UndecodableAudioError(DataError):
    """The file is not audio that libsndfile decodes completely to finite samples."""


class EmptyAudioError(DataError):
    """The file has no samples, every sample is zero, or its channels cancel each other."""


class TooLongAudioError(DataError):
    """The audio is longer than allowed: ``seconds`` by its header, or as far as it was decoded."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.seconds)  # on its way from another process


class Location(NamedTuple):
    """Place of an utterance's bytes: a whole file, or ``length`` bytes of it from ``offset``."""

    path: Path
    offset: int = 0
    length: int | None = None


class Part(io.RawIOBase):
    """``length`` bytes of an open file from ``offset``, read without loading them."""

    def __init__(self, descriptor: int, offset: int, length: int) -> None:
        self.descriptor, self.offset, self.length = descriptor, offset, length
        self._place = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = max(0, (0, self._place, self.length)[whence] + offset)
        return self._place

    @override
    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(0, self.length - self._place)]
        count = os.preadv(self.descriptor, [view], self.offset + self._place)
        self._place += count
        return count


def locate(spec: str, base: Path) -> Location:
    """Resolve a manifest's ``audio`` field: a path (relative to ``base``) or ``file.zip:offset:length``.

    An existing file with such a name is taken as a file, not as a part of an archive.
    """
    match = _SLICE.fullmatch(spec)
    if match is None or _exists(base / spec):
        return Location(base / spec)
    return Location(base / match["path"], int(match["offset"]), int(match["length"]))


@contextmanager
def open_audio(spec: str, base: Path) -> Iterator[tuple[Location, Part]]:
    """Open an utterance's bytes. An OSError while they are open is the row's fault, too.

    Raises:
        MissingAudioError: no such regular file, or it cannot be read.
        UndecodableAudioError: the archive ends before the part does.
    """
    location = locate(spec, base)
    size = file_status(spec, base).st_size
    if location.length is not None and location.offset + location.length > size:
        raise UndecodableAudioError(
            f"{shown(spec)}: the archive ends after {max(0, size - location.offset)} of {location.length} bytes; make "
            "the manifest from this archive"
        )
    try:
        with location.path.open("rb", buffering=0) as file:
            yield location, Part(file.fileno(), location.offset, size if location.length is None else location.length)
    except OSError as error:
        raise refusal(spec, location, error) from error


def file_status(spec: str, base: Path) -> os.stat_result:
    """Status of the regular file that holds an utterance. Nothing is opened: opening a pipe would wait for its writer.

    Raises:
        MissingAudioError: no such regular file, or the system refuses.
    """
    location = locate(spec, base)
    try:
        status = location.path.stat()
    except OSError as error:
        raise refusal(spec, location, error) from error
    except ValueError:  # a NUL
        raise MissingAudioError(
            f"{shown(spec)}: a path must not contain the character NUL; correct the audio column"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
        raise MissingAudioError(f"{shown(spec)}: must be a file, got {kind} ({location.path}); name a recording")
    return status


def refusal(spec: str, location: Location, error: OSError) -> MissingAudioError:
    """Turn an error of the operating system about an utterance's file into a fault of the row."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        place = "" if str(location.path) == spec else f" ({location.path})"
        return MissingAudioError(
            f"{shown(spec)}: no such file{place}; a manifest's paths are relative to its folder, a command's to the "
            "current one; absolute ones and file.zip:offset:length do as well"
        )
    remedy = "check its permissions and the disk"
    if error.errno == errno.ENAMETOOLONG:
        remedy = "does the audio column hold a text instead of a path?"
    return MissingAudioError(f"{shown(spec)}: cannot be read: {error.strerror or error}; {remedy}")


def hash_audio(spec: str, base: Path) -> str:
    """SHA-256 of one utterance's bytes as they lie on disk: the whole file, or its part of an archive.

    Raises:
        MissingAudioError: no such file, or it cannot be read.
        UndecodableAudioError: the archive ends before the part does.
    """
    digest = hashlib.sha256()
    with open_audio(spec, base) as (_, part):
        while block := part.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def shown(spec: str) -> str:
    """A manifest's ``audio`` field for a message, shortened where it is not a plausible path."""
    return spec if len(spec) <= 200 else f"{spec[:200]}..."


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True
