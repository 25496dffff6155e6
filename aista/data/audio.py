"""Audio files -> mono float32 waveforms."""

from __future__ import annotations

import errno
import io
import itertools
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from aista.data.audio_file import EmptyAudioError, Location, Part, UndecodableAudioError, open_audio, shown
from aista.data.containers import UnmeasuredError, announced_samples
from aista.data.media_file import Container, MediaFile, find_container, is_no_audio
from aista.data.resampling import resample, resample_blocks
from aista.data.sample_checks import Levels, check_length, check_rate

if TYPE_CHECKING:
    from aista.data.forward_file import ForwardFile, LibsndfileError

__all__ = ["AudioInfo", "one_thread", "probe_audio", "read_audio", "read_header", "stream_audio"]

_SYSTEM_ERROR = 2  # of libsndfile
_BLOCK = 2**18  # samples of all channels
_HEAD = 64  # bytes by which containers are known


class AudioInfo(NamedTuple):
    """Length and format of a file, measured by decoding it to the end."""

    num_samples: int
    sample_rate: int
    num_channels: int

    @property
    def seconds(self) -> float:
        """True duration."""
        return self.num_samples / self.sample_rate


def read_audio(spec: str, base: Path, sample_rate: int, *, max_seconds: float = math.inf) -> Tensor:
    """Decode one utterance, by the rules of ``probe_audio``.

    Several channels are averaged into one; another sample rate is resampled (windowed sinc, torchaudio).
    Samples are what the file holds, in [-1, 1] for integer formats; nothing is normalised or cut.

    Args:
        spec: The manifest's ``audio`` field.
        base: The manifest's folder.
        sample_rate: Wanted rate in Hz.
        max_seconds: Refuse longer audio.

    Returns:
        ``[W]`` float32.

    Raises:
        DataError: as ``probe_audio``.
    """
    blocks = list(_decode(spec, base, max_seconds))
    return resample(torch.cat([block_W for _, block_W in blocks]), blocks[0][0].sample_rate, sample_rate)


def stream_audio(spec: str, base: Path, sample_rate: int) -> Iterator[Tensor]:
    """Yield the waveform of ``read_audio`` in successive blocks ``[W]``, for recordings of any length in little memory.

    A fault after a block is raised when the next one is requested, so a recording is valid once all blocks were read.

    Raises:
        DataError: as ``probe_audio``.
    """
    blocks = _decode(spec, base, math.inf)
    info, first_W = next(blocks)
    rest = (block_W for _, block_W in blocks)
    yield from resample_blocks(itertools.chain([first_W], rest), info.sample_rate, sample_rate)


def probe_audio(spec: str, base: Path, *, max_seconds: float = math.inf) -> AudioInfo:
    """Decode one utterance to its end, a block at a time, and return its length and format.

    Raises:
        MissingAudioError: no such file, or it cannot be read.
        UndecodableAudioError: not audio, cut short, several files joined, or samples that are not finite.
        EmptyAudioError: no samples, or the mean of the channels is digital silence throughout.
        TooLongAudioError: longer than ``max_seconds``; where the header says so, nothing is decoded.
    """
    for info, _ in _decode(spec, base, max_seconds):
        found = info
    return found


def read_header(spec: str, base: Path, *, max_seconds: float = math.inf) -> AudioInfo:
    """Read length and format from a file's header; where it states no length, decode the file as ``probe_audio`` does.

    Choose it to check many files fast: a file that is silent or truncated is not noticed unless the sizes in its header
    show it.

    Raises:
        DataError: as ``probe_audio``, by what the header says.
    """
    for info, _ in _decode(spec, base, max_seconds, header_alone=True):
        found = info
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """One intra-op thread: resampling and matrix products of short clips depend on their number in the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Source(Part):
    """The bytes that a decoder reads from a file, perhaps after a header that is added.

    libsndfile takes an OSError for the end, so that is kept in ``refused``.
    """

    def __init__(self, refused: list[OSError], descriptor: int, offset: int, length: int, header: bytes = b"") -> None:
        super().__init__(descriptor, offset - len(header), length + len(header))
        self._refused = refused
        self._header = header

    @override
    def readinto(self, buffer: Any) -> int:
        if self._place < len(self._header):
            piece = self._header[self._place :][: len(buffer)]
            memoryview(buffer)[: len(piece)] = piece
            self._place += len(piece)
            return len(piece)
        try:
            return super().readinto(buffer)
        except OSError as error:
            self._refused.append(error)
            return 0


def _decode(
    spec: str, base: Path, max_seconds: float, *, header_alone: bool = False
) -> Iterator[tuple[AudioInfo, Tensor]]:
    """Decode and check an utterance: yields the facts so far and the next block ``[W]`` of its channels' mean.

    There is at least one block, or a DataError. ``header_alone`` ends with what the header says, if it names a length.
    """
    from aista.data.forward_file import LibsndfileError

    name = shown(spec)
    refused: list[OSError] = []
    with open_audio(spec, base) as (location, part):
        if part.length == 0:
            raise EmptyAudioError(f"{name}: the file is empty; replace it or remove the row")
        head = os.pread(part.descriptor, min(_HEAD, part.length), part.offset)
        try:
            with ExitStack() as opened:
                container = find_container(head)
                file, announced = _open(opened, location, part, container, refused)
                check_rate(name, file.samplerate)
                check_length(name, announced / file.samplerate, max_seconds)
                if header_alone and announced and container is None:  # of other containers it is a bound
                    yield AudioInfo(announced, file.samplerate, file.channels), torch.zeros(0)
                    return
                levels = Levels()
                size = min(max(1, _BLOCK // file.channels), announced + 1 if announced else _BLOCK)
                while len(block_WC := file.read(size, dtype="float32", always_2d=True)):
                    block_W = levels.add(torch.from_numpy(block_WC))
                    check_length(name, levels.samples / file.samplerate, max_seconds)
                    yield AudioInfo(levels.samples, file.samplerate, file.channels), block_W
        except LibsndfileError as error:
            if error.code == _SYSTEM_ERROR or refused:
                raise refused[0] if refused else OSError(errno.EIO, os.strerror(errno.EIO)) from error
            raise UndecodableAudioError(f"{name}: {_explain(error, head)}") from error
        except TypeError as error:  # soundfile asks for the rate of files named *.raw, whatever they hold
            raise UndecodableAudioError(
                f"{name}: files named .raw are samples without a header, whose rate is unknown; convert it to wav"
            ) from error
        except ValueError as error:
            raise UndecodableAudioError(f"{name}: {error}") from error
        if refused:
            raise refused[0]
    if levels.samples < announced:
        raise UndecodableAudioError(
            f"{name}: it announces {announced} samples, only {levels.samples} can be decoded; the file is cut short: "
            "copy it again"
        )
    levels.check(name)


def _open(
    opened: ExitStack, location: Location, part: Part, container: Container | None, refused: list[OSError]
) -> tuple[ForwardFile | MediaFile, int]:
    """Open a file with its container's decoder; also returns the announced number of samples, 0 if not stated."""
    from aista.data.forward_file import ForwardFile

    source = _Source(refused, part.descriptor, part.offset, part.length)
    if container is not None:
        media = opened.enter_context(MediaFile(io.BufferedReader(source), container))
        return media, media.frames
    file = opened.enter_context(ForwardFile(os.fsencode(location.path) if location.length is None else source))
    try:
        return file, announced_samples(io.BufferedReader(part), part.length, file.format, file.frames)
    except UnmeasuredError as found:
        place = part.offset + found.start, part.length - found.start
        again = ForwardFile(_Source(refused, part.descriptor, *place, found.header))
        return opened.enter_context(again), found.samples


def _explain(error: LibsndfileError, head: bytes) -> str:
    return is_no_audio(head) or (
        "must be audio that libsndfile decodes (wav, flac, ogg, mp3), got: "
        f"{error.error_string.rstrip('.')}; convert or replace the file"
    )
