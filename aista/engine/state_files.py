"""State files of checkpoints: only plain data and tensors, read without running code, with checksums."""

from __future__ import annotations

import hashlib
import logging
import time
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import PickleError
from typing import BinaryIO

import torch
from fairseq2.io import (
    DataNotPicklableError,
    MapLocation,
    TensorFileDumper,
    TensorFileDumpOptions,
    TensorFileLoader,
    TensorFileLoadOptions,
)
from typing_extensions import override

from aista.errors import RunError
from aista.run_folder.checksums import check_state_file, way_back
from aista.run_folder.paths import STEP

__all__ = ["StateDumper", "StateLoader"]

log = logging.getLogger("aista.checkpoint")

PROTOCOL = 2  # the latest pickle protocol that torch reads restricted


class StateDumper(TensorFileDumper):
    """Writes state files and remembers the SHA-256 of each, taken from what is written."""

    def __init__(self) -> None:
        self._checksums: dict[Path, str] = {}

    @override
    def dump(self, data: Mapping[str, object], file: Path, options: TensorFileDumpOptions | None = None) -> None:
        with file.open("wb") as stream:
            hashing = _HashingStream(stream)
            try:
                torch.save(data, hashing, pickle_protocol=PROTOCOL)  # type: ignore[arg-type]
            except (RuntimeError, PickleError) as error:
                raise hashing.refusal or DataNotPicklableError() from error
        self._checksums[file] = hashing.digest.hexdigest()

    def take_checksums(self, checkpoint: Path) -> dict[str, str]:
        """SHA-256 of each file written since the last call, by its path in the checkpoint's folder."""
        taken = {file.relative_to(checkpoint).as_posix(): sha256 for file, sha256 in self._checksums.items()}
        self._checksums.clear()
        return taken


class StateLoader(TensorFileLoader):
    """Reads state files: tensors, numbers, strings, lists and dicts, never anything that could run code.

    Args:
        verify: Compare each file with its recorded SHA-256 first.
    """

    def __init__(self, *, verify: bool) -> None:
        self._verify = verify

    @override
    def load(self, file: Path, options: TensorFileLoadOptions | None = None) -> dict[str, object]:
        """Read one file; of the options ``restrict`` is always on.

        Raises:
            RunError: it is damaged, or holds other things; names the checkpoints to go back to.
            OSError: it cannot be read.
        """
        checkpoint = next(folder for folder in file.parents if folder.name.startswith(STEP))
        if self._verify:
            started = time.monotonic()
            check_state_file(checkpoint, file)
            seconds, size = time.monotonic() - started, file.stat().st_size / 2**20
            if seconds > 1:
                log.info("%s: checksum of %.0f MiB compared in %.1f s (--no-verify saves that)", file, size, seconds)
        state = _read(file, options.map_location if options else None)
        if state is None:
            raise RunError(
                f"{file}: damaged, or a pickle of an earlier aista, which could run code when read and is not; "
                f"{way_back(checkpoint)}"
            )
        return state


def _read(file: Path, map_location: MapLocation) -> dict[str, object] | None:
    """The state in a file; None where it is not plain data."""
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(file):  # no zip: torch tries its older formats
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            state = torch.load(file, map_location, weights_only=True)  # type: ignore[arg-type]
    except OSError:
        raise
    except Exception:  # torch names no set of errors for what it cannot read
        return None
    return state if isinstance(state, dict) and all(isinstance(name, str) for name in state) else None


class _HashingStream:
    """An output stream that hashes its content, and keeps errors of the operating system, which torch hides."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.refusal: OSError | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self._stream.write(data)
        except OSError as error:
            self.refusal = error
            raise

    def flush(self) -> None:
        self._stream.flush()
