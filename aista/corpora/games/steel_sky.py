"""Beneath a Steel Sky: the number of spoken lines; their texts cannot be read.

``sky.dnr`` is the index of the game's data, in little-endian integers: the number of entries, 4 bytes; per entry its
number, 2 bytes, then 6 of place and size. Entries from 50,000 on are speech. The lines are stored by a prefix code
whose table is part of the game's program, which the Debian package does not hold.
"""

from __future__ import annotations

import struct
from pathlib import Path

from aista.errors import DataError

__all__ = ["FILE", "PACKAGE", "spoken_entries"]

PACKAGE = "beneath-a-steel-sky"
FILE = "usr/share/scummvm/beneath-a-steel-sky/sky.dnr"
FIRST_SPOKEN = 50_000
_COUNT, _ENTRY = struct.Struct("<I"), struct.Struct("<H6x")


def spoken_entries(path: Path) -> list[int]:
    """Numbers of the entries of speech, sorted.

    Raises:
        DataError: the file's size is not that of the entries it announces.
    """
    data = path.read_bytes()
    count = _COUNT.unpack_from(data)[0] if len(data) >= _COUNT.size else 0
    if not count or len(data) != _COUNT.size + count * _ENTRY.size:
        raise DataError(
            f"{path}: {len(data)} bytes must be an index of {count} entries; get the package {PACKAGE} again"
        )
    return sorted(number for (number,) in _ENTRY.iter_unpack(data[_COUNT.size :]) if number >= FIRST_SPOKEN)
