"""Safetensors of an exported folder: written in shards, read into a model, and fingerprints of base weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from aista.errors import RunError
from aista.files import hash_file, write_json

__all__ = ["fingerprint", "load_into", "save_weights", "weight_files"]


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
    state = model.state_dict(keep_vars=True)
    filled: set[int] = set()
    for file in files:
        with _open(file) as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                _fill(state, rename(name), tensors.get_tensor(name), file)
                filled.add(id(state[rename(name)]))
    return {name: tensor for name, tensor in state.items() if id(tensor) not in filled}


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a path: the file itself, or those that a folder's model is loaded from."""
    if path.is_file():
        return [path] * (path.suffix == ".safetensors")
    return sorted(path.glob("model*.safetensors")) or sorted(path.glob("*.safetensors"))


def fingerprint(path: Path) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors of a folder or file, however they are sharded.

    For a file in another format: over its bytes. Memory holds one tensor at a time.

    Raises:
        RunError: no weights there, or damaged ones.
    """
    files = weight_files(path)
    if path.is_file() and not files:
        return f"sha256:{hash_file(path)}"
    if not files:
        raise RunError(f"{path}: no *.safetensors there; give the folder of the base model")
    digest = hashlib.sha256()
    with ExitStack() as stack:
        opened = [stack.enter_context(_open(file)) for file in files]
        places = [(name, tensors) for tensors in opened for name in tensors.keys()]  # noqa: SIM118
        for name, tensors in sorted(places, key=lambda place: place[0]):
            stored = tensors.get_slice(name)
            digest.update(json.dumps([name, stored.get_dtype(), stored.get_shape()]).encode())
            digest.update(tensors.get_tensor(name).reshape(-1).view(torch.uint8).numpy())
    return f"sha256:{digest.hexdigest()}"


@contextmanager
def _open(file: Path) -> Iterator[Any]:
    """The file's tensors by safetensors' reader. Raises RunError if the file is damaged."""
    try:
        with safe_open(file, framework="pt") as tensors:
            yield tensors
    except (SafetensorError, OSError) as error:
        raise _damaged(file, error) from error


def _fill(state: Mapping[str, Tensor], name: str, tensor: Tensor, file: Path) -> None:
    target = state.get(name)
    if target is None or _kind(target) != _kind(tensor):
        has = "no such tensor" if target is None else f"{list(target.shape)} of {target.dtype}"
        raise RunError(
            f"{file}: {name} {list(tensor.shape)} of {tensor.dtype} does not fit the model that config.json describes "
            f"({has}); the folder was changed after the export, export it again"
        )
    if target.dtype != tensor.dtype:
        target.data = target.data.to(tensor.dtype)
    target.data.copy_(tensor)


def _kind(tensor: Tensor) -> tuple[torch.Size, torch.dtype | bool]:
    """Shape and type, where any type with fractions is as good as another."""
    return tensor.shape, tensor.is_floating_point() or tensor.dtype


def _damaged(file: Path, error: Exception) -> RunError:
    what = f"damaged or no safetensors ({error})" if file.is_file() else "missing"
    return RunError(f"{file}: {what}; copy the folder again, or export it again")


def _distinct(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    distinct: dict[tuple[Any, ...], tuple[str, Tensor]] = {}
    for name, tensor in weights.items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else (name,)
        distinct.setdefault(place, (name, tensor))
    return {name: tensor.detach().contiguous() for name, tensor in distinct.values()}


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
