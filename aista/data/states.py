"""Rows -> states that a frozen encoder once gave for their recordings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch import Tensor

from aista.data.audio import hash_audio
from aista.data.encoder_caches.base import EncoderCache
from aista.data.file_memory import FileMemory
from aista.data.manifest import Row

__all__ = ["StoredStates", "recording_keys"]


class StoredStates:
    """Looks the states of rows up in a cache.

    Args:
        cache: Holds the states of all recordings.
        keys: A row's ``audio`` -> its recording's key.
    """

    def __init__(self, cache: EncoderCache, keys: Mapping[str, str]) -> None:
        self._cache = cache
        self._keys = keys

    def __call__(self, row: Row) -> Tensor:
        """``[S, E]``.

        Raises:
            DataError: the states are damaged or gone.
        """
        return self._cache.read(self._keys[row.audio])


def recording_keys(
    rows: Sequence[Row], manifest: Path, progress: Callable[[int, int], None] | None = None
) -> dict[str, str]:
    """A row's ``audio`` -> SHA-256 of the bytes that it names, so that equal recordings are encoded once.

    A file is hashed again only when its size or modification time has changed: the hashes are remembered
    beside the manifest, in ``.NAME.hashes.json``.

    Args:
        rows: Rows with audio.
        manifest: The manifest that they come from.
        progress: Called with (recordings hashed, recordings).

    Raises:
        DataError: a file is missing or cannot be read.
    """
    memory = _HashMemory(manifest)
    specs = list(dict.fromkeys(row.audio for row in rows))
    keys: dict[str, str] = {}
    try:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for spec, (key,) in zip(specs, pool.map(memory.recall, specs), strict=True):
                keys[spec] = key
                if progress is not None:
                    progress(len(keys), len(specs))
    finally:  # an interrupted pass goes on where it stopped
        memory.save()
    return keys


class _HashMemory(FileMemory):
    """Outcomes of ``hash_audio``."""

    def __init__(self, manifest: Path) -> None:
        super().__init__(manifest, "hashes", lambda spec, base: [hash_audio(spec, base)])

    def _is_sound(self, entry: Any) -> bool:
        return len(entry) == 3 and isinstance(entry[2], str)
