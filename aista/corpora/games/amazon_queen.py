"""Flight of the Amazon Queen: English texts and a sound file for each spoken segment of them.

``queen.1c`` begins with an index; all integers are big-endian.

| bytes | meaning |
|---|---|
| 13 | ``QTBL``, a version, flags |
| 2 | number of files |
| 21, per file | name, padded with zeros to 12; 1 byte that is 1; offset and size, 4 bytes each |

A dialogue is a file ``*.DOG``. Its first 20 bytes name its kind; offsets count from there:

| offset | meaning |
|---|---|
| 0 | number of menus of 96 bytes; in some files it is negative |
| 4 | key, part of the names of sounds |
| 6, 8 | numbers of Joe's lines, which follow the menus, and of the other person's |
| 22, 24, 26 | offsets of the other person's lines, of a film to play, of two greetings, hers and Joe's |

A line is its number in 4 bytes, the length of its text in 1, the text, and zeros up to a multiple of 4. ``*NN`` and
other commands divide a text into segments, counted from 1, empty ones too. ``020006J1.SB`` is key 02, line 6 (in
hexadecimal), Joe, segment 1. P is the other person, SSSS Joe's first words, XXXX the greetings when he comes again.

A film is a file ``*.CUT``. After 20 bytes again, at offset 2 is the number of its lines, in some files negative, at 8
and 10 where their texts begin, behind a byte that may be zero, and end. A text follows its length and fills up an even
number of bytes. Where there is one text more than lines, it comes first and is none. ``C13A_011.SB`` is line 1 of
``C13A.CUT``, segment 1.

``QUEEN2.JAS`` has a text per line. Joe's comments from 41 on are those from the top; his comments 1 to 40 follow the
words *on* and *to*. ``JOE00411.SB`` is comment 41, segment 1. All sounds are MP3.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aista.corpora.preparation import one_line
from aista.errors import DataError

__all__ = ["FILE", "PACKAGE", "SOUND", "Archive", "read_archive", "read_segments"]

PACKAGE = "flight-of-the-amazon-queen"
FILE = "usr/share/scummvm/flight-of-the-amazon-queen/queen.1c"
DIALOGUE, FILM, COMMENTS, SOUND = ".DOG", ".CUT", "QUEEN2.JAS", ".SB"
JOE, PERSON = "J", "P"
FIRST, AGAIN = "SSSS", "XXXX"
_REMEDY = f"get the package {PACKAGE} again"
_MAGIC = b"QTBL"
_HEADER = struct.Struct(">4s9xH")
_ENTRY = struct.Struct(">12sxII")
_BANK = 20
_DIALOGUE = struct.Struct(">hxxHHH12xHHH")
_MENU, _AFTER_MENUS = 96, 4
_LINE = struct.Struct(">IB")
_FILM = struct.Struct(">2xh4xHH")
_FILM_NAME = 5
_GENERAL_COMMENTS, _BEFORE_THEM = 40, ["on", "to"]
_NO_SPEECH = ("*", "0")
_COMMAND = re.compile(r"\*(?:XY\d+\(\d+,\d+\)|[A-Z]{2}|\d\d)")


@dataclass(frozen=True)
class Archive:
    """The game's file of files.

    Attributes:
        path: Path of the file.
        places: Offset and size by name.
    """

    path: Path
    places: Mapping[str, tuple[int, int]]

    def read(self, name: str) -> bytes:
        """One file's content."""
        offset, size = self.places[name]
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


def read_archive(path: Path) -> Archive:
    """Read the index.

    Raises:
        DataError: it is not such a file, or it is cut short.
    """
    total = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        magic, count = _HEADER.unpack(head) if len(head) == _HEADER.size else (b"", 0)
        index = file.read(count * _ENTRY.size)
    if magic != _MAGIC or not count:
        raise DataError(f"{path}: must begin with {_MAGIC.decode()} and an index, got {head[:4]!r}; {_REMEDY}")
    if len(index) < count * _ENTRY.size:
        raise DataError(f"{path}: cut short within the index of {count} files; {_REMEDY}")
    places = {}
    for name, offset, size in _ENTRY.iter_unpack(index):
        places[name.rstrip(b"\0").decode("latin-1")] = (offset, size)
        if offset + size > total:
            raise DataError(f"{path}: cut short: a file ends at byte {offset + size} of {total}; {_REMEDY}")
    return Archive(path, places)


def read_segments(archive: Archive) -> dict[str, str]:
    """The text of every segment of dialogues, films and comments, by the name of its sound, less ``.SB``.

    Captions of films are among them; they have no sound. A dialogue that has two lines of one number speaks the first.

    Raises:
        DataError: a script does not have the structure above.
    """
    segments: dict[str, str] = {}
    for name in sorted(archive.places):
        try:
            lines = _read_script(name, archive)
        except (struct.error, ValueError) as error:
            raise DataError(f"{archive.path}: {name} must be a script ({error}); {_REMEDY}") from None
        for line, text in lines.items():
            for number, part in enumerate(_COMMAND.split(text), start=1):
                segments[f"{line}{number:X}"] = one_line(part)
    return {name: text for name, text in segments.items() if text and text not in _NO_SPEECH}


def _read_script(name: str, archive: Archive) -> dict[str, str]:
    """A script's texts with their commands, by the name of their sounds without the segment; nothing of other files."""
    if name.endswith(DIALOGUE):
        return _read_dialogue(archive.read(name))
    if name.endswith(FILM):
        stem = name.removesuffix(FILM).ljust(_FILM_NAME, "_")
        return {f"{stem}{number:02d}": text for number, text in _read_film(archive.read(name)).items()}
    if name == COMMENTS:
        return {f"JOE{number:04d}": text for number, text in _read_comments(archive.read(name)).items()}
    return {}


def _read_film(data: bytes) -> dict[int, str]:
    """A film's texts by line."""
    data = data[_BANK:]
    count, position, end = _FILM.unpack_from(data)
    position += data[position : position + 1] == b"\0"
    texts = []
    while position < end:
        text, position = _text(data, position)
        texts.append(text)
        position += position % 2
    before = len(texts) - abs(count)
    if position != end or before not in (0, 1):
        raise ValueError(f"{abs(count)} texts, or one more, must end at byte {end}, got {len(texts)} to {position}")
    return dict(enumerate(texts, start=1 - before))


def _read_comments(data: bytes) -> dict[int, str]:
    """Joe's comments by number."""
    lines = data.decode("ascii").splitlines()
    starts = [at for at in range(len(lines)) if lines[at - 2 : at] == _BEFORE_THEM]
    if not starts:
        raise ValueError(f"no lines {' and '.join(_BEFORE_THEM)}")
    general = lines[starts[0] : starts[0] + _GENERAL_COMMENTS]
    return dict(enumerate(general + lines[: starts[0]], start=1))


def _read_dialogue(data: bytes) -> dict[str, str]:
    """A dialogue's texts with their commands, by the name of their sounds without the segment."""
    data = data[_BANK:]
    menus, key, of_joe, of_person, person, film, greetings = _DIALOGUE.unpack_from(data)
    first = _DIALOGUE.size + abs(menus) * _MENU + _AFTER_MENUS
    texts: dict[str, str] = {}
    for number, text in _lines(data, first, person, of_joe):
        texts.setdefault(f"{key:02d}{number:04X}{JOE}" if number else f"{key:02d}{FIRST}{JOE}", text)
    for number, text in _lines(data, person, film, of_person):
        if number:  # else it is Joe's greeting again
            texts.setdefault(f"{key:02d}{number:04X}{PERSON}", text)
    texts[f"{key:02d}{AGAIN}{PERSON}"], after = _text(data, greetings)
    texts[f"{key:02d}{AGAIN}{JOE}"], _ = _text(data, after + after % 2)
    return texts


def _lines(data: bytes, start: int, end: int, count: int) -> list[tuple[int, str]]:
    """``count`` numbered lines that fill the bytes from ``start`` to ``end``."""
    lines, position = [], start
    while position < end:
        number, _ = _LINE.unpack_from(data, position)
        text, after = _text(data, position + _LINE.size - 1)
        lines.append((number, text))
        position = start + -(-(after - start) // 4) * 4
    if position != end or len(lines) != count:
        raise ValueError(f"{count} lines must fill bytes {start} to {end}, got {len(lines)} to {position}")
    return lines


def _text(data: bytes, position: int) -> tuple[str, int]:
    """A text that follows its length, and where it ends."""
    end = position + 1 + data[position] if position < len(data) else len(data) + 1
    if end > len(data):
        raise ValueError(f"a text at byte {position} goes beyond the end")
    return data[position + 1 : end].decode("ascii"), end
