"""Looks up cached encoder states of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from aista.data.audio_file import hash_audio
from aista.data.encoder_caches.base import EncoderCache
from aista.data.file_memory import FileMemory
from aista.data.manifest_rows import Row, Rows

__all__ = ["StoredStates", "recording_keys"]


@dataclass(frozen=True)
class StoredStates:
    """Looks the states of rows up in a cache.

    Attributes:
        cache: Holds the states of all recordings.
        keys: A row's ``audio`` -> its recording's key.
    """

    cache: EncoderCache
    keys: Mapping[str, str]

    def __call__(self, row: Row) -> Tensor:
        """``[S, E]``.

        Raises:
            DataError: the states are damaged or gone.
        """
        return self.cache.read(self.keys[row.audio])


def recording_keys(
    rows: Sequence[Row], manifest: Path, progress: Callable[[int, int], None] | None = None
) -> dict[str, str]:
    """A row's ``audio`` -> SHA-256 of the bytes that it names, so that equal recordings are encoded once.

    A file is hashed again only when its size or modification time has changed: the hashes are remembered
    beside the manifest, in ``.NAME.hashes.arrow``.

    Args:
        rows: Rows with audio.
        manifest: The manifest that they come from.
        progress: Called with (recordings hashed, recordings).

    Raises:
        DataError: a file is missing or cannot be read.
    """
    specs = list(dict.fromkeys(Rows.of(rows).texts("audio")))
    found = FileMemory(manifest, "hashes", _hash, (str,)).recall_all(specs, progress)
    for fault in found.faults.values():
        raise fault
    return dict(zip(specs, found.values[0].tolist(), strict=True))


def _hash(spec: str, base: Path) -> tuple[str]:
    return (hash_audio(spec, base),)
