"""Places of the files in a tar archive, so that each can be read directly."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aista.errors import DataError
from aista.files import explain

__all__ = ["Member", "check_archive", "read_members"]

_BLOCK = 512


class Member(NamedTuple):
    """A file in an archive: its key, its suffix in lower case (``wav``), and the place of its bytes."""

    key: str
    suffix: str
    offset: int
    size: int


def check_archive(path: Path) -> None:
    """Check that an archive is complete, i.e. ends with empty blocks. Reads two blocks.

    Raises:
        DataError: it cannot be read, is compressed, or is cut short.
    """
    try:
        with path.open("rb") as stream:
            begin = stream.read(_BLOCK)
            size = stream.seek(0, 2)
            stream.seek(max(0, size - 2 * _BLOCK))
            end = stream.read()
    except OSError as error:
        raise DataError(explain(error, path, "read")) from error
    if begin[:2] == b"\x1f\x8b" or begin[:3] == b"BZh" or begin[:6] == b"\xfd7zXZ\x00":
        raise DataError(f"{path}: must be a plain tar archive, got a compressed one; decompress it")
    if size % _BLOCK or len(end) < 2 * _BLOCK or any(end):
        raise DataError(
            f"{path}: the archive has no tar end marker, got {size} bytes: it is cut short or no tar; copy "
            "or write the shard again"
        )


def read_members(path: Path, *, first_dot: bool = False) -> Iterator[Member]:
    """The files of an archive, in its order.

    Args:
        path: A plain tar archive.
        first_dot: A name's suffix begins at the first dot of its last part, as in WebDataset, not at the last dot.

    Raises:
        DataError: the archive is damaged; names it.
    """
    try:
        size = path.stat().st_size
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # which it would keep
                if not member.isfile():
                    continue
                if member.offset_data + member.size > size:
                    raise DataError(f"{path}: ends within {member.name!r}: it is cut short; copy or write it again")
                folder, _, name = member.name.rpartition("/")
                key, _, suffix = name.partition(".") if first_dot else name.rpartition(".")
                key = key or suffix
                yield Member(f"{folder}/{key}" if folder else key, suffix.lower(), member.offset_data, member.size)
    except tarfile.TarError as error:
        raise DataError(f"{path}: must be a plain tar archive, got: {error}; copy or write the shard again") from error
    except OSError as error:
        raise DataError(explain(error, path, "read")) from error
