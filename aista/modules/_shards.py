"""Fills a module from a folder of safetensors, reading the tensors that it holds and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from aista.modules._folder import read_json

__all__ = ["fill_from_folder"]

_INDEX = "model.safetensors.index.json"


def fill_from_folder(
    module: nn.Module,
    folder: Path,
    saved_name: Callable[[str], str],
    convert: Callable[[str, Tensor], Tensor] = lambda _, tensor: tensor,
) -> None:
    """Copy a module's parameters and persistent buffers from a folder's ``*.safetensors``, in the module's types.

    Tensors are read one by one. Of names that are tied in the module, one in the folder is enough.

    Args:
        module: Built, with arbitrary weights.
        folder: Holds the weights in one file, or in shards with or without an index.
        saved_name: Name in the module's state -> name in the folder.
        convert: Name and value as saved -> the value as the module wants it, of the same shape.

    Raises:
        ValueError: a file is missing or damaged, tensors are missing or of another shape.
    """
    places = _places(folder)
    own = {saved_name(name): tensor for name, tensor in module.state_dict(keep_vars=True).items()}
    wanted = {name: tensor for name, tensor in own.items() if name in places}
    held = {id(tensor) for tensor in wanted.values()}
    lacking = sorted(name for name, tensor in own.items() if id(tensor) not in held)
    if lacking:
        raise ValueError(
            f"path: the weights in {folder} lack {len(lacking)} tensors, e.g. {lacking[0]}; they are incomplete or "
            "belong to another architecture"
        )
    with torch.no_grad():
        for name, tensor in _read(wanted, places):
            if tensor.shape != wanted[name].shape:
                raise ValueError(
                    f"path: {name} in {places[name]} has shape {list(tensor.shape)}, but config.json describes "
                    f"{list(wanted[name].shape)}; the files belong to different models"
                )
            wanted[name].copy_(convert(name, tensor))


def _places(folder: Path) -> dict[str, Path]:
    """The file of every tensor: as the index says, or as the files themselves do where there is none."""
    if (folder / _INDEX).is_file():
        index = read_json(folder / _INDEX).get("weight_map")
        if not isinstance(index, dict):
            raise ValueError(f"path: {folder / _INDEX} has no weight_map; copy the file again")
        return {name: folder / Path(str(file)).name for name, file in index.items()}
    places: dict[str, Path] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with _opened(file) as tensors:
            places |= dict.fromkeys(tensors.keys(), file)
    return places


def _read(names: Mapping[str, Tensor], places: Mapping[str, Path]) -> Iterator[tuple[str, Tensor]]:
    """The named tensors, file by file."""
    for file in sorted({places[name] for name in names}):
        if not file.is_file():
            raise ValueError(f"path: {file} is missing, but {_INDEX} names it; copy the file")
        with _opened(file) as tensors:
            held = set(tensors.keys())
            for name in sorted(name for name in names if places[name] == file):
                if name not in held:
                    raise ValueError(f"path: {file} lacks {name}, which {_INDEX} says it holds; copy the file again")
                yield name, tensors.get_tensor(name)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        with safe_open(file, framework="pt") as tensors:
            yield tensors
    except (SafetensorError, OSError) as error:
        raise ValueError(f"path: {file} is damaged or no safetensors ({error}); copy the file again") from error
