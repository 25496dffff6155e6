"""Finds recordings named by files, folders and lists."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aista.errors import DataError
from aista.files import explain

__all__ = ["SUFFIXES", "Recording", "find_recordings", "read_names"]

_DECODED = ("wav", "flac", "mp3", "ogg", "opus", "aif", "aiff", "aifc", "au", "caf", "oga", "snd", "sph", "w64", "wave")
_REFUSED = ("3gp", "aac", "amr", "m4a", "m4b", "mkv", "mov", "mp4", "webm", "wma")  # by name, as no decoder is there
SUFFIXES = frozenset(f".{name}" for name in (*_DECODED, *_REFUSED))
"""Endings of recordings in folders, whether a decoder is installed or not."""


@dataclass(frozen=True)
class Recording:
    """One recording: how to open it, and the name of output files for it (without suffix; may have folders)."""

    file: str
    name: str


def find_recordings(given: Sequence[str]) -> tuple[list[Recording], Counter[str]]:
    """The recordings of paths, in order: files, and recordings in folders at any depth, sorted.

    Returns:
        The recordings, and the suffixes of the files in folders that are none, with their numbers.

    Raises:
        DataError: a folder cannot be listed, or no recording is in it.
    """
    recordings: list[Recording] = []
    others: Counter[str] = Counter()
    for path in given:
        if not os.path.isdir(path):
            recordings.append(Recording(path, Path(path).stem))
            continue
        before = len(recordings)
        for file in _walk(path):
            if file.suffix.lower() in SUFFIXES:
                recordings.append(Recording(str(file), str(file.relative_to(path).with_suffix(""))))
            else:
                others[file.suffix.lower() or "no suffix"] += 1
        if len(recordings) == before:
            raise DataError(
                f"{path}: must hold recordings, files named .{', .'.join(_DECODED[:5])} and the like, got a "
                "folder without any; name another folder, or the files themselves"
            )
    return recordings, others


def read_names(lines: Iterable[bytes]) -> list[str]:
    """The paths of a list, one per line, without empty lines. Raises DataError for an empty list."""
    names = [os.fsdecode(line.rstrip(b"\r\n")) for line in lines]
    names = [name for name in names if name.strip()]
    if not names:
        raise DataError("standard input: must list recordings, one path a line, got none; pipe a list into it")
    return names


def _walk(folder: str) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(explain(error, doing="listed")) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(files))
