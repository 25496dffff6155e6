"""Files of encoder states: safetensors whose every tensor has a checksum.

Their bytes are read, not mapped as by safetensors' own reader: a mapped file that shrinks kills the process, and the
pages of a map count as memory of the run. (Opened anew for each read, which avoids both, that reader parses the header
each time: 2.4 ms a recording instead of 0.4.)
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aista.files import replacing

__all__ = ["Place", "read_places", "read_tensor", "write_shard"]

_CHECKSUMS = "checksums"
_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class Place(NamedTuple):
    """Place of a tensor: ``num_bytes`` of ``file`` from ``start``, and the CRC-32 of these bytes."""

    file: Path
    start: int
    num_bytes: int
    shape: tuple[int, ...]
    dtype: str
    checksum: int


def write_shard(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write contiguous tensors of the CPU to a new file, whole or not at all."""
    checksums = {name: zlib.crc32(_bytes_of(tensor)) for name, tensor in tensors.items()}
    with replacing(file) as temporary:
        save_file(dict(tensors), temporary, metadata={_CHECKSUMS: json.dumps(checksums)})


def read_places(file: Path) -> dict[str, Place]:
    """The place of each tensor of a file, without reading tensors.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is cut short, or not of our making.
    """
    try:
        with safe_open(file, framework="pt"):
            pass  # header and size fit each other
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = json.loads(stream.read(size))
    try:
        checksums = json.loads(header.pop("__metadata__")[_CHECKSUMS])
        return {name: _place(file, 8 + size, entry, int(checksums[name])) for name, entry in header.items()}
    except (KeyError, TypeError) as error:
        raise ValueError("it has no checksums") from error


def read_tensor(place: Place) -> Tensor:
    """Read one tensor.

    Raises:
        OSError: the file cannot be read.
        ValueError: its bytes are not those that were written.
    """
    content = bytearray(place.num_bytes)
    with place.file.open("rb", buffering=0) as stream:
        stream.seek(place.start)
        num_read = stream.readinto(content)
    if num_read != place.num_bytes or zlib.crc32(content) != place.checksum:
        raise ValueError("its bytes are not those that were written")
    return torch.frombuffer(content, dtype=_DTYPES[place.dtype]).view(place.shape)


def _place(file: Path, offset: int, entry: Mapping[str, Any], checksum: int) -> Place:
    start, end = entry["data_offsets"]
    return Place(file, offset + start, end - start, tuple(entry["shape"]), entry["dtype"], checksum)


def _bytes_of(tensor: Tensor) -> memoryview:
    content: memoryview = tensor.view(torch.uint8).numpy().data
    return content
