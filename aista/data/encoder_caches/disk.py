"""Encoder states in a folder that any number of runs share."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from aista.data.encoder_caches.base import EncoderCache
from aista.data.encoder_caches.shard import Place, read_places, read_tensor, write_shard
from aista.errors import DataError
from aista.files import DAY, remove_leftovers, write_text
from aista.registry import register
from aista.schema import Options, option, required

__all__ = ["DiskCache", "DiskConfig"]

log = logging.getLogger("aista.data")

FORMAT = 1
IDENTITY = "identity.json"


@dataclass(frozen=True, kw_only=True)
class DiskConfig(Options):
    """Options of ``disk``."""

    path: Path = required("Folder; runs that name the same one share the states of equal encoders.")
    dtype: Literal["float32", "float16", "bfloat16"] = option(
        "float32", "Type that states are stored in: float32 is exact, the others take half the space."
    )


@register("encoder_cache", "disk", config=DiskConfig)
class DiskCache(EncoderCache):
    """Cache on disk: a folder below ``path`` for each identity and dtype, with files that are written once.

    Each call of ``write`` makes one safetensors file under a name of its own, moved into place when it is complete, so
    writers need no lock: what two of them encode at the same time is there twice, and either copy is right. Files that
    are cut short or foreign are named in the log and not read; every read compares a CRC-32.

    Choose ``float32`` to repeat what training without the cache gives; ``bfloat16`` where space matters, ``float16``
    where it is also certain that no state exceeds 65504.
    """

    def __init__(self, config: DiskConfig, *, identity: Mapping[str, Any]) -> None:
        self._dtype: torch.dtype = getattr(torch, config.dtype)
        self._description = json.dumps({"format": FORMAT, "dtype": config.dtype, **identity}, indent=2, sort_keys=True)
        self.folder = config.path / hashlib.sha256(self._description.encode()).hexdigest()[:32]
        self.bytes_per_value = self._dtype.itemsize
        self._places: dict[str, Place] = {}
        self._seen: set[str] = set()

    @override
    def missing(self, keys: Iterable[str]) -> list[str]:
        for file in sorted(self.folder.glob("*.safetensors")):
            if file.name not in self._seen:
                self._seen.add(file.name)
                self._enter(file)
        return [key for key in keys if key not in self._places]

    @override
    def read(self, key: str) -> Tensor:
        place = self._places.get(key)
        if place is None:
            raise DataError(f"{self.folder}: has no states of the recording {key}; encode it first")
        try:
            return read_tensor(place)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{place.file}: the states of the recording {key} are damaged ({error}); delete this file, and the "
                "same command encodes its recordings again"
            ) from error

    @override
    def write(self, states: Mapping[str, Tensor]) -> None:
        new = {key: self._stored(key, states[key]) for key in self.missing(states)}
        if not new:
            return
        file = self.folder / f"{uuid.uuid4().hex}.safetensors"
        try:
            remove_leftovers(self.folder, "*.safetensors", older_than=DAY)
            if not (self.folder / IDENTITY).is_file():
                write_text(self.folder / IDENTITY, self._description + "\n")
            write_shard(file, new)
        except OSError as error:
            raise DataError(
                f"{self.folder}: encoder states cannot be written: {error.strerror or error}; make room there, or "
                "choose another path for data.encoder_cache"
            ) from error
        self._seen.add(file.name)
        self._enter(file)

    @override
    def require_space(self, num_bytes: int) -> None:
        there = next(folder for folder in (self.folder, *self.folder.absolute().parents) if folder.is_dir())
        free = shutil.disk_usage(there).free
        if num_bytes > free:
            raise DataError(
                f"{self.folder}: the encoder states need {num_bytes / 2**30:.2f} GiB, and {free / 2**30:.2f} GiB are "
                "free; make room, choose another path for data.encoder_cache, or a smaller dtype"
            )

    def __str__(self) -> str:
        size = sum(place.num_bytes for place in self._places.values())
        return f"{self.folder} ({len(self._places)} recordings, {size / 2**30:.2f} GiB, {self._dtype})"

    def _enter(self, file: Path) -> None:
        try:
            self._places.update(read_places(file))
        except (OSError, ValueError) as error:
            log.warning("%s: damaged encoder states (%s); its recordings are encoded again, delete it", file, error)

    def _stored(self, key: str, states_SE: Tensor) -> Tensor:
        stored = states_SE.detach().to("cpu", self._dtype).contiguous()
        if not bool(torch.isfinite(stored).all()):
            largest = float(states_SE.float().abs().max())
            raise DataError(
                f"data.encoder_cache: states of the recording {key} are not finite as {self._dtype} (largest magnitude "
                f"{largest:g}); choose dtype bfloat16 or float32, or look for a fault in the encoder"
            )
        return stored
