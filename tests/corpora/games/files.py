"""Writes small files in the games' formats, from the description of the formats alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

__all__ = ["dialogue", "film", "mp3", "write_archive", "write_index", "write_tables"]


def write_tables(path: Path, tables: Sequence[Mapping[str, Sequence[str]]], *, before: bytes = b"DRASCULA\x06") -> None:
    """``drascula.dat``: per table the lines of each language, in the order of the mapping."""
    content = bytearray(before)
    for table in tables:
        content += len(next(iter(table.values()))).to_bytes(2, "big")
        for language, lines in table.items():
            block = b"\0\0"
            for line in lines:
                text = line.encode("cp1251" if language == "ru" else "cp850")
                text += bytes(1 + -(len(text) + 3) % 4)
                block += (len(text) + 2).to_bytes(2, "big") + text
            content += len(block).to_bytes(2, "big") + block
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(content))


def _padded(text: str, multiple: int) -> bytes:
    content = bytes([len(text)]) + text.encode("ascii")
    return content + bytes(-len(content) % multiple)


def dialogue(
    key: int,
    joe: Sequence[tuple[int, str]],
    person: Sequence[tuple[int, str]],
    greetings: tuple[str, str],
    *,
    menus: int = 2,
    film: bytes = b"\0\0\0\0\0\0\0\0",
) -> bytes:
    """A file ``*.DOG``; ``greetings`` are the other person's and Joe's."""
    sections = [
        b"".join(number.to_bytes(4, "big") + _padded(text, 4) for number, text in lines) for lines in (joe, person)
    ]
    first = 28 + abs(menus) * 96 + 4
    offsets = [first + len(sections[0]), first + sum(map(len, sections)), first + sum(map(len, sections)) + len(film)]
    numbers = [key - 1, key, len(joe), len(person)]
    head = menus.to_bytes(2, "big", signed=True) + b"".join(number.to_bytes(2, "big") for number in numbers)
    head += bytes(12) + b"".join(offset.to_bytes(2, "big") for offset in offsets)
    content = head + bytes(abs(menus) * 96 + 4) + b"".join(sections) + film
    return b"AmBk".ljust(20, b" ") + content + b"".join(_padded(text, 2) for text in greetings) + bytes(7)


def film(count: int, texts: Sequence[str], *, zero: bool = True) -> bytes:
    """A file ``*.CUT``; ``zero``: a byte before the texts."""
    begin = 30
    content = b"\0" * zero
    for text in texts:
        content += bytes([len(text)]) + text.encode("ascii")
        content += bytes((begin + len(content)) % 2)
    head = b"\0\2" + count.to_bytes(2, "big", signed=True) + b"\xff\x9c\0\x18" + begin.to_bytes(2, "big")
    head += (begin + len(content)).to_bytes(2, "big")
    return b"AmBk".ljust(20, b" ") + head.ljust(begin, b"\0") + content + b"\0\1\0\x08bob5.dog\xa1"


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """``queen.1c``."""
    offset = 15 + 21 * len(files)
    index = b""
    for name, content in files.items():
        index += name.encode().ljust(12, b"\0") + b"\1" + offset.to_bytes(4, "big") + len(content).to_bytes(4, "big")
        offset += len(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"QTBLCEM10\0\0\0\1" + len(files).to_bytes(2, "big") + index + b"".join(files.values()))


def write_index(path: Path, numbers: Sequence[int]) -> None:
    """``sky.dnr``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = b"".join(number.to_bytes(2, "little") + b"\1\2\3\4\5\6" for number in numbers)
    path.write_bytes(len(numbers).to_bytes(4, "little") + entries)


def mp3(key: str, seconds: float = 1.0) -> bytes:
    """Noise that depends on ``key``, as the game's sounds are: MP3 at 11,025 Hz."""
    noise = np.random.default_rng(list(key.encode())).normal(scale=0.1, size=int(seconds * 11_025))
    file = io.BytesIO()
    soundfile.write(file, noise, 11_025, format="MP3", subtype="MPEG_LAYER_III")
    return file.getvalue()
