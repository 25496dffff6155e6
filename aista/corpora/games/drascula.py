"""Drascula: lines of dialogue in six languages, and a sound file for each in English.

``drascula.dat`` ends with tables of texts, one after the other to the end of the file. All integers are big-endian.

| bytes | meaning |
|---|---|
| 2 | number of lines |
| 2, per language | size of the block that follows |
| size, per language | 2 zero bytes, then records: 2 bytes of length, themselves counted, and a text padded with zeros |

Line 12 of table D is spoken in ``D12.ALS``; the first table has no letter. The sound files are samples without a
header: 8 bits, unsigned, one channel.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import soundfile

from aista.corpora.games.casing import sentence_case
from aista.corpora.preparation import one_line
from aista.errors import DataError

__all__ = ["FOLDER", "LANGUAGES", "PACKAGE", "TEXTS", "read_texts", "sentence_texts", "write_wav"]

PACKAGE = "drascula"
FOLDER = "usr/share/scummvm/drascula/en"
TEXTS = "drascula.dat"
LANGUAGES = ("en", "es", "de", "fr", "it", "ru")
"""In the order of the file."""
TABLES = ("", "D", "B", "BJ", "E", "I", "L", "P", "T", "VB")
"""Letters of the tables that are spoken; others follow them."""
SAMPLE_RATE = 11_025
NAMES = (
    *("Alucsard", "Billie Jean", "Braun", "Desiderio", "Drascula", "Elvis", "Emilio", "Emma", "Evaristo", "Fernan"),
    *("Frank", "Garcia", "Gibraltar", "Hacker", "Hamlet", "Igor", "John", "Johnny", "McGyver", "Miguel Bose", "OK"),
    *(
        "Oxford",
        "Pelayo",
        "Stevie Wonder",
        "Superman",
        "Tibet",
        "Transilvania",
        "TV",
        "Von Braun",
        "Woody Allen",
        "Yoda",
    ),
)
_WORD = struct.Struct(">H")
_HEADER = 2


def read_texts(path: Path) -> dict[str, dict[str, str]]:
    """The lines of the spoken tables: texts as they are, by language, by the name of the sound file.

    Where the tables begin is not written in a place we know, so they are searched for: they are the first ones that
    fill the file to its last byte.

    Raises:
        DataError: there are no such tables, or they are not text.
    """
    data = path.read_bytes()
    for start in range(len(data)):
        tables = _tables(data, start)
        if len(tables) >= len(TABLES):
            break
    else:
        raise DataError(f"{path}: must end with {len(TABLES)} or more tables of texts; get the package {PACKAGE} again")
    texts: dict[str, dict[str, str]] = {}
    for letter, table in zip(TABLES, tables, strict=False):
        for language, lines in zip(LANGUAGES, table, strict=True):
            for number, line in enumerate(lines):
                texts.setdefault(f"{letter}{number}", {})[language] = _decode(path, line, language)
    return texts


def sentence_texts(texts: dict[str, str]) -> dict[str, str]:
    """The texts of one line as manifests hold them, by language."""
    return {language: sentence_case(one_line(text), language, NAMES) for language, text in texts.items()}


def write_wav(source: Path, target: Path) -> None:
    """Give a sound file the header that it lacks."""
    samples = np.frombuffer(source.read_bytes(), np.uint8).astype(np.int16) - 128
    soundfile.write(str(target), samples << 8, SAMPLE_RATE, format="WAV", subtype="PCM_16")


def _decode(path: Path, line: bytes, language: str) -> str:
    """The degree sign is a space in the game's alphabet."""
    try:
        return line.decode("cp1251" if language == "ru" else "cp850").replace("º", " ")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: {language} texts must be in the game's encoding ({error}); get {PACKAGE} again"
        ) from None


def _tables(data: bytes, position: int) -> list[list[list[bytes]]]:
    """Lines by language by table, if tables fill ``data`` from ``position`` to its end; else nothing."""
    tables = []
    while position < len(data):
        count, position = _word(data, position), position + 2
        if not count:
            return []
        table = []
        for _ in LANGUAGES:
            size, position = _word(data, position), position + 2
            lines = _lines(data[position : position + size], count) if position + size <= len(data) else None
            if lines is None:
                return []
            table.append(lines)
            position += size
        tables.append(table)
    return tables


def _lines(block: bytes, count: int) -> list[bytes] | None:
    """The lines of a block, if ``count`` of them fill it."""
    lines: list[bytes] = []
    position = _HEADER
    while len(lines) < count and position < len(block):
        length = _word(block, position)
        if length <= _HEADER:
            return None
        lines.append(block[position + _HEADER : position + length].rstrip(b"\0"))
        position += length
    return lines if len(lines) == count and position == len(block) else None


def _word(data: bytes, position: int) -> int:
    """The integer there; 0, which none of the sizes may be, beyond the end."""
    part = data[position : position + _WORD.size]
    return int(_WORD.unpack(part)[0]) if len(part) == _WORD.size else 0
