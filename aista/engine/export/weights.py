"""Safetensors of an exported folder: written in shards, read into a model, and fingerprints of base weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from aista.errors import RunError
from aista.files import write_json

__all__ = ["fingerprint", "load_into", "read_names", "save_weights"]

_CHUNK = 1 << 24


def save_weights(folder: Path, weights: Mapping[str, Tensor], stem: str = "model", *, shard_bytes: int) -> list[str]:
    """Write ``STEM.safetensors``, or shards of at most ``shard_bytes`` with an index, as Hugging Face names them.

    A tensor that is the same memory as an earlier one (tied embeddings) is written once.

    Returns:
        Names of the files with weights.
    """
    shards = list(_shards(_distinct(weights), shard_bytes))
    if len(shards) == 1:
        save_file(shards[0], folder / f"{stem}.safetensors", metadata={"format": "pt"})
        return [f"{stem}.safetensors"]
    names = [f"{stem}-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        save_file(shard, folder / name, metadata={"format": "pt"})
    index = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    total = sum(tensor.nbytes for shard in shards for tensor in shard.values())
    write_json(folder / f"{stem}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})
    return names


def read_names(file: Path) -> list[str]:
    """Names of the tensors in a file.

    Raises:
        RunError: the file is damaged.
    """
    try:
        with safe_open(file, framework="pt") as tensors:
            return list(tensors.keys())
    except (SafetensorError, OSError) as error:
        raise _damaged(file, error) from error


def load_into(
    model: nn.Module, files: Iterable[Path], rename: Callable[[str], str] = lambda name: name
) -> dict[str, Tensor]:
    """Copy tensors into a model one by one, in the type that they have in the files.

    Args:
        model: Bare model.
        files: Safetensors.
        rename: Name in a file -> name in the model's state.

    Returns:
        What of the model's state is in no file, and not tied to what is.

    Raises:
        RunError: a file is damaged or does not fit the model.
    """
    own = model.state_dict(keep_vars=True)
    filled: set[int] = set()
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                    _fill(own, rename(name), tensors.get_tensor(name), file)
                    filled.add(id(own[rename(name)]))
        except (SafetensorError, OSError) as error:
            raise _damaged(file, error) from error
    return {name: tensor for name, tensor in own.items() if id(tensor) not in filled}


def fingerprint(path: Path) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors of a folder or file, however they are sharded.

    Of a file that is no safetensors: over its bytes. Everything is read in pieces.

    Raises:
        RunError: no weights there, or damaged ones.
    """
    digest = hashlib.sha256()
    if path.is_file() and path.suffix != ".safetensors":
        for piece in _pieces(path, 0, path.stat().st_size):
            digest.update(piece)
        return f"sha256:{digest.hexdigest()}"
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    if not files:
        raise RunError(f"{path}: no *.safetensors there; give the folder of the base model")
    entries = sorted(entry for file in files for entry in _entries(file))
    for name, dtype, shape, file, start, end in entries:
        digest.update(json.dumps([name, dtype, shape]).encode())
        for piece in _pieces(file, start, end):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def _entries(file: Path) -> Iterator[tuple[str, str, list[int], Path, int, int]]:
    """Name, type, shape and place of every tensor in a file."""
    read_names(file)  # checks that the header and the size are sound
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = json.loads(stream.read(size))
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            yield name, entry["dtype"], entry["shape"], file, 8 + size + start, 8 + size + end


def _pieces(file: Path, start: int, end: int) -> Iterator[bytes]:
    with file.open("rb") as stream:
        stream.seek(start)
        while start < end:
            piece = stream.read(min(_CHUNK, end - start))
            start += len(piece)
            yield piece


def _fill(own: Mapping[str, Tensor], name: str, tensor: Tensor, file: Path) -> None:
    target = own.get(name)
    if target is None or target.shape != tensor.shape:
        has = "no such tensor" if target is None else f"{list(target.shape)}"
        raise RunError(
            f"{file}: {name} {list(tensor.shape)} does not fit the model that config.json describes ({has}); the "
            "folder was changed after the export, export it again"
        )
    if target.dtype != tensor.dtype:
        target.data = target.data.to(tensor.dtype)
    target.data.copy_(tensor)


def _damaged(file: Path, error: Exception) -> RunError:
    what = f"damaged or no safetensors ({error})" if file.is_file() else "missing"
    return RunError(f"{file}: {what}; copy the folder again, or export it again")


def _distinct(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kept: dict[tuple[Any, ...], tuple[str, Tensor]] = {}
    for name, tensor in weights.items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else (name,)
        kept.setdefault(place, (name, tensor))
    return {name: tensor.detach().contiguous() for name, tensor in kept.values()}


def _shards(weights: Mapping[str, Tensor], limit: int) -> Iterator[dict[str, Tensor]]:
    shard: dict[str, Tensor] = {}
    size = 0
    for name, tensor in weights.items():
        if shard and size + tensor.nbytes > limit:
            yield shard
            shard, size = {}, 0
        shard[name] = tensor
        size += tensor.nbytes
    yield shard
