"""Reads CTranslate2's ``model.bin``: a header, then named arrays one after the other, then aliases of names.

Layout of version 6, little endian; a string is its uint16 length and that many bytes, the last one zero:
``uint32 version, string spec, uint32 revision, uint32 count``; for each array ``string name, uint8 rank,
uint32 dims[rank], uint8 type, uint32 bytes, data``; then ``uint32 count`` and pairs of strings, alias and name.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from aista.errors import DataError

__all__ = ["CTranslate2Model", "read_ctranslate2"]

VERSION = 6
TYPES = (torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16)
_MAX_RANK = 8


@dataclass(frozen=True)
class CTranslate2Model:
    """Content of a ``model.bin``.

    Attributes:
        spec: Kind of model, e.g. ``WhisperSpec``.
        revision: Revision of that kind's layout.
        tensors: Arrays by name, e.g. ``encoder/layer_0/ffn/linear_0/weight``; scalars have no dimension.
        aliases: Further names of arrays.
    """

    spec: str
    revision: int
    tensors: Mapping[str, Tensor]
    aliases: Mapping[str, str]


def read_ctranslate2(path: Path) -> CTranslate2Model:
    """Read the arrays and names of a ``model.bin``.

    Raises:
        DataError: the file is of another version, or damaged: it ends early, goes on behind its end, or holds
            sizes, types or names that cannot be.
    """
    reader = _Reader(path)
    version = reader.number("I", "its version")
    if version != VERSION:
        raise DataError(
            f"{path}: a CTranslate2 model of version {VERSION} starts with that number, got {version}; convert the "
            "model with CTranslate2 3 or 4, or check that this is the right file"
        )
    spec, revision = reader.string("the kind of model"), reader.number("I", "the revision")
    tensors: dict[str, Tensor] = {}
    for _ in range(reader.number("I", "the number of arrays")):
        name = reader.string("an array's name")
        if name in tensors:
            raise reader.damage(f"the array {name} is there twice")
        tensors[name] = reader.tensor(name)
    aliases = {}
    for _ in range(reader.number("I", "the number of aliases")):
        alias, name = reader.string("an alias"), reader.string("an alias's array")
        if name not in tensors:
            raise reader.damage(f"the alias {alias} stands for {name}, which does not exist")
        aliases[alias] = name
    reader.finish()
    return CTranslate2Model(spec, revision, tensors, aliases)


class _Reader:
    """Reads items from a file in order, never past its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data = bytearray(path.read_bytes())  # writable, so that tensors may share it
        self._at = 0

    def damage(self, what: str) -> DataError:
        return DataError(f"{self._path}: damaged at byte {self._at}: {what}; get the file again")

    def number(self, form: str, what: str) -> int:
        value: int = struct.unpack_from(f"<{form}", self._data, self._take(struct.calcsize(f"<{form}"), what))[0]
        return value

    def string(self, what: str) -> str:
        size = self.number("H", what)
        start = self._take(size, what)
        raw = bytes(self._data[start : start + size])
        if not raw.endswith(b"\0") or b"\0" in raw[:-1] or not raw.isascii():
            raise self.damage(f"{what} is not a text that ends with a zero byte")
        return raw[:-1].decode("ascii")

    def tensor(self, name: str) -> Tensor:
        rank = self.number("B", f"the rank of {name}")
        if rank > _MAX_RANK:
            raise self.damage(f"{name} has {rank} dimensions")
        shape = [self.number("I", f"the shape of {name}") for _ in range(rank)]
        kind = self.number("B", f"the type of {name}")
        if kind >= len(TYPES):
            raise self.damage(f"{name} has the unknown type {kind}")
        dtype, size = TYPES[kind], self.number("I", f"the size of {name}")
        if size != math.prod(shape) * dtype.itemsize or size == 0:
            raise self.damage(f"{name} of shape {shape} and type {dtype} cannot take {size} bytes")
        start = self._take(size, name)
        return torch.frombuffer(self._data, dtype=dtype, count=math.prod(shape), offset=start).reshape(shape)

    def finish(self) -> None:
        if self._at != len(self._data):
            raise self.damage(f"{len(self._data) - self._at} bytes follow the end of the model")

    def _take(self, size: int, what: str) -> int:
        start = self._at
        if start + size > len(self._data):
            raise self.damage(f"{what} needs {size} bytes, the file has {len(self._data) - start} left")
        self._at += size
        return start
