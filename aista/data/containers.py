"""Checks the number of samples that audio containers announce against their content.

libsndfile does not: without an error it cuts the length of a wav to the available bytes, estimates that of an MP3 from
its first frame, and decodes only the first of several concatenated files.
"""

from __future__ import annotations

import math
import os
import re
import struct
from typing import BinaryIO, NamedTuple

__all__ = ["UnmeasuredError", "announced_samples"]

_UNKNOWN = 2**63 - 1  # libsndfile's number of samples where a container does not say
_STREAMED = 0x7FFF0000  # sizes from here on, and 0, are what programs write before they know the size
_CUT = "the file is cut short: copy it again"
_JOINED = "several files are joined in it, of which only the first can be decoded; convert each of them on its own"
_MPEG_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbit/s
_MPEG_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_FLAC = b"fLaC\x00\x00\x00\x22"
_MPEG_BEGINS = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]|ID3")  # a layer III frame, or a tag
_BLOCK = 2**20
_SEARCHED = 2**13


class UnmeasuredError(ValueError):
    """A layer III stream of variable bit rate that does not state its length: libsndfile would stop at an estimate.

    Attributes:
        start: The byte at which its first frame begins.
        header: A frame (Xing) that says its length; libsndfile decodes all of this frame and what follows ``start``.
        samples: Minimum number of samples of that.
    """

    def __init__(self, start: int, header: bytes, samples: int) -> None:
        super().__init__("it has a variable bit rate and no header (Xing) that says its length; convert it")
        self.start, self.header, self.samples = start, header, samples


def announced_samples(file: BinaryIO, length: int, container: str, decodable: int) -> int:
    """The samples (per channel) that a file must decode to; 0 where it announces no number.

    Args:
        file: The audio file, buffered, at its beginning.
        length: Its bytes.
        container: libsndfile's name of the format, e.g. ``WAV``.
        decodable: libsndfile's number of samples.

    Raises:
        UnmeasuredError: an MP3 does not say its length, and libsndfile takes it for shorter.
        ValueError: the file is cut short, damaged, or several are joined in it; with the remedy.
    """
    announced = 0 if decodable == _UNKNOWN else decodable
    try:
        if container in _CHUNKS:
            _check_bytes(file, length, container)
        elif container == "OGG":
            _check_pages(file, length)
        elif container == "FLAC":
            _check_single(file)
        elif container in ("MP3", "MPEG"):
            return _mpeg_samples(file, announced)
    except (struct.error, OverflowError) as error:
        raise ValueError("its header is damaged: copy the file again, or convert it") from error
    return announced


class _Samples(NamedTuple):
    """Start of the samples' bytes, their announced number, and the end of the container; 0: right after them."""

    start: int
    size: int
    end: int = 0


def _check_bytes(file: BinaryIO, length: int, container: str) -> None:
    magic = file.read(4)
    file.seek(0)
    found = _CHUNKS[container](file)
    if found is None or not 0 <= found.size < _STREAMED:
        return
    if found.size == 0 and found.end <= found.start < length:
        follow = length - found.start
        raise ValueError(f"its header announces no samples, {follow} bytes follow: it was streamed; convert it")
    if found.start + found.size > length:
        there = max(0, length - found.start)
        raise ValueError(f"its header announces {found.size} bytes of samples, {there} are there; {_CUT}")
    end = found.end or found.start + found.size
    file.seek(end)
    if found.size and magic in file.read(5):  # chunks are padded to an even length
        raise ValueError(_JOINED)


def _riff(file: BinaryIO) -> _Samples | None:
    """RIFF, RIFX, RF64 (sizes in its chunk ``ds64``) and AIFF, which is the same in big-endian."""
    magic, whole = struct.unpack("4s4s4x", file.read(12))
    order = "<" if magic in (b"RIFF", b"RF64") else ">"
    (end,) = struct.unpack(f"{order}I", whole)
    wide: tuple[int, int] | None = None
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sI", head)
        start = file.tell()
        if name in (b"data", b"SSND"):
            end, size = wide or (end, size)
            return _Samples(start, size, end + 8 if end < _STREAMED else 0)
        if name == b"ds64":
            wide = struct.unpack("<QQ", file.read(16))
        file.seek(start + size + size % 2)
    return None


def _wave64(file: BinaryIO) -> _Samples | None:
    file.seek(40)
    while len(head := file.read(24)) == 24:
        name, size = struct.unpack("<4s12xQ", head)
        if name == b"data":
            return _Samples(file.tell(), size - 24)
        file.seek(max(24, size + -size % 8) - 24, os.SEEK_CUR)
    return None


def _core_audio(file: BinaryIO) -> _Samples | None:
    file.seek(8)
    while len(head := file.read(12)) == 12:
        name, size = struct.unpack(">4sq", head)
        if name == b"data" or size < 0:
            return _Samples(file.tell(), size)
        file.seek(size, os.SEEK_CUR)
    return None


def _sun(file: BinaryIO) -> _Samples:
    return _Samples(*struct.unpack(">4xII", file.read(12)))


def _sphere(file: BinaryIO) -> _Samples | None:
    fields = dict(re.findall(rb"(\w+) -i (\d{1,15})\n", file.read(1024)))
    try:
        size = math.prod(int(fields[name]) for name in (b"sample_count", b"sample_n_bytes", b"channel_count"))
    except KeyError:
        return None
    return _Samples(1024, size)


_CHUNKS = {
    **dict.fromkeys(("WAV", "WAVEX", "RF64", "AIFF"), _riff),
    "W64": _wave64,
    "CAF": _core_audio,
    "AU": _sun,
    "NIST": _sphere,
}


def _check_pages(file: BinaryIO, length: int) -> None:
    """Walk over the pages of an Ogg file: the last must be whole and end its stream, and none begins behind others."""
    flags, started = 0, False
    while len(head := file.read(27)) == 27 and head[:4] == b"OggS":
        flags = head[5]
        begins = bool(flags & 2)
        if begins and started:
            raise ValueError(_JOINED)
        started = started or not begins
        file.seek(sum(file.read(head[26])), os.SEEK_CUR)
    if file.tell() > length or not flags & 4:
        raise ValueError(f"its last page of Ogg is missing; {_CUT}")


def _check_single(file: BinaryIO) -> None:
    before, count = b"", 0
    while block := file.read(_BLOCK):
        count += (before + block).count(_FLAC)
        before = block[1 - len(_FLAC) :]
    if count > 1:
        raise ValueError(_JOINED)


def _mpeg_samples(file: BinaryIO, announced: int) -> int:
    """By its frames. The first may be a Xing header, which says how many follow; else libsndfile estimates a length."""
    frames, samples, start = _walk_frames(file)
    file.seek(start)
    first = file.read(64)
    header = re.search(rb"(?:Xing|Info)\x00\x00\x00[\x01\x03\x05\x07\x09\x0b\x0d\x0f](.{4})", first, re.DOTALL)
    if header is not None:
        if frames > int.from_bytes(header[1], "big") + 2:  # the header's own frame, which some writers count
            raise ValueError(_JOINED)
        return announced
    whole = samples * (frames - 1)  # decoders may leave out the first or the last
    if announced < whole:
        raise UnmeasuredError(start, _xing(first[:4], frames), whole)
    return max(whole, 0)


def _xing(head: bytes, frames: int) -> bytes:
    """A Xing frame that says how many frames follow, of the kind of the frame that ``head`` begins."""
    bits = int.from_bytes(head, "big")
    version, is_mono = bits >> 19 & 3, bits >> 6 & 3 == 3
    side = {(True, True): 17, (True, False): 32, (False, True): 9, (False, False): 17}[version == 3, is_mono]
    content = bytes(side) + b"Xing\x00\x00\x00\x01" + frames.to_bytes(4, "big")
    plain = bits & ~0xF200 | 0x10000  # no padding, no checksum, and a bit rate yet to be chosen
    heads = ((plain | rate << 12).to_bytes(4, "big") for rate in range(1, 15))
    sizes = {head: _mpeg_frame(head)[0] for head in heads}
    head = next(head for head, size in sizes.items() if size >= 4 + len(content))
    return (head + content).ljust(sizes[head], b"\0")


def _walk_frames(file: BinaryIO) -> tuple[int, int, int]:
    """The number of MPEG layer III frames, the samples of each, and where the first begins."""
    count, samples, lost, start = 0, 0, False, 0
    while len(head := file.read(4)) == 4:
        size, held = _mpeg_frame(head)
        if size and (not lost or _is_followed(file, size)):
            start = start if count else file.tell() - 4
            count, samples, lost = count + 1, held, False
            file.seek(size - 4, os.SEEK_CUR)
        else:
            lost = True
            file.seek(-4, os.SEEK_CUR)
            if not _skip_tag(file):
                file.seek(1, os.SEEK_CUR)
                _seek_mpeg(file)
    return count, samples, start


def _seek_mpeg(file: BinaryIO) -> None:
    """Go to the next place where a frame or a tag may begin, or to the end."""
    while len(block := file.read(_SEARCHED)) > 2:
        found = _MPEG_BEGINS.search(block)
        file.seek(found.start() - len(block) if found else -2, os.SEEK_CUR)
        if found:
            return


def _mpeg_frame(head: bytes) -> tuple[int, int]:
    """Bytes and samples of the layer III frame that these four bytes begin; 0 and 0 where they do not."""
    bits = int.from_bytes(head, "big")
    version, rate, frequency = bits >> 19 & 3, bits >> 12 & 15, bits >> 10 & 3
    if bits >> 21 != 0x7FF or version == 1 or bits >> 17 & 3 != 1 or rate in (0, 15) or frequency == 3:
        return 0, 0
    samples = 1152 if version == 3 else 576
    hertz = (44_100, 48_000, 32_000)[frequency] >> {3: 0, 2: 1, 0: 2}[version]
    return samples // 8 * 1000 * (_MPEG_1 if version == 3 else _MPEG_2)[rate - 1] // hertz + (bits >> 9 & 1), samples


def _is_followed(file: BinaryIO, size: int) -> bool:
    place = file.tell()
    file.seek(size - 4, os.SEEK_CUR)
    head = file.read(4)
    file.seek(place)
    return not head or _mpeg_frame(head)[0] > 0


def _skip_tag(file: BinaryIO) -> bool:
    """Skip an ID3v2 tag, if one begins here."""
    head = file.read(10)
    found = head.startswith(b"ID3") and len(head) == 10
    size = sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=False))
    file.seek(size if found else -len(head), os.SEEK_CUR)
    return found
