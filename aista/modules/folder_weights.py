"""Safetensors of a model's folder: reads them into modules tensor by tensor, and bounds a model's size by theirs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from aista.model_folder import INDEX, check_folder, read_json, without_safetensors

__all__ = ["bounded_by", "check_weights", "fill_from_folder", "refuse_absent", "refuse_surplus"]

_FACTOR, _TENSORS, _NUMBERS = 64, 1 << 12, 1 << 28


def check_weights(folder: Path) -> None:
    """Raise ValueError if the folder holds no safetensors."""
    if any(folder.glob("*.safetensors")):
        return
    content = without_safetensors(path.name for path in folder.glob("*"))
    raise ValueError(
        f"path: {folder} holds {content}; weights are read only from *.safetensors: get model.safetensors, or load "
        "a file you trust with transformers once and save_pretrained(..., safe_serialization=True)"
    )


@contextmanager
def bounded_by(files: Sequence[Path]) -> Iterator[None]:
    """Stop building a model in the block once it is absurdly larger than its weights.

    Absurd is 64 times the tensors or the numbers in them, and more than 4,096 or 2^28: a model may be built with
    parts that it does not keep. Sizes in a damaged config would otherwise take hours or all memory. Without files,
    nothing is bounded.

    Args:
        files: Safetensors.

    Raises:
        ValueError: the model is too large, or a file is damaged.
    """
    if not files:
        yield
        return
    tensors = numbers = 0
    for file in files:
        with _opened(file) as saved:
            for name in saved.keys():  # noqa: SIM118 - it is no mapping
                tensors, numbers = tensors + 1, numbers + prod(saved.get_slice(name).get_shape())
    limits = max(_TENSORS, _FACTOR * tensors), max(_NUMBERS, _FACTOR * numbers)
    built = [0, 0]

    def count(_module: nn.Module, _name: str, tensor: Tensor | None) -> None:
        if tensor is None:
            return
        built[0] += 1
        built[1] += tensor.numel()
        if built[0] > limits[0] or built[1] > limits[1]:
            raise ValueError(
                f"the config describes a model of over {built[0] - 1:,} tensors and {built[1]:,} numbers, but "
                f"{files[0].parent} holds {tensors:,} and {numbers:,}: they do not belong together; copy it again"
            )

    hooks = [
        register(count)
        for register in (register_module_parameter_registration_hook, register_module_buffer_registration_hook)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def fill_from_folder(
    module: nn.Module,
    folder: Path,
    saved_name: Callable[[str], str],
    convert: Callable[[str, Tensor], Tensor] = lambda _, tensor: tensor,
) -> None:
    """Copy a module's parameters and persistent buffers from a folder's safetensors, in the module's types.

    Tensors are read one by one, those of the module and no others. Of names that are tied in the module, one in the
    folder is enough.

    Args:
        module: Built, with arbitrary weights.
        folder: Holds the weights in one file, or in shards with or without an index.
        saved_name: Name in the module's state -> name in the folder.
        convert: Name and value as saved -> the value as the module wants it, of the same shape.

    Raises:
        ValueError: a file is missing, damaged or outside of the folder, or tensors are missing, surplus, or of another
            shape or kind.
    """
    check_folder(folder)
    check_weights(folder)
    places = _places(folder)
    targets = {saved_name(name): tensor for name, tensor in module.state_dict(keep_vars=True).items()}
    wanted = {name: tensor for name, tensor in targets.items() if name in places}
    present = {id(tensor) for tensor in wanted.values()}
    refuse_absent([name for name, tensor in targets.items() if id(tensor) not in present], folder)
    refuse_surplus(places.keys() - targets.keys(), targets, folder)
    with torch.no_grad():
        for name, tensor in _read(wanted, places):
            if (tensor.shape, tensor.is_floating_point()) != (wanted[name].shape, wanted[name].is_floating_point()):
                raise ValueError(
                    f"path: {name} in {places[name]} has shape {_kind(tensor)}, but config.json describes "
                    f"{_kind(wanted[name])}; the files belong to different models"
                )
            wanted[name].copy_(convert(name, tensor))


def refuse_absent(names: Collection[str], folder: Path) -> None:
    """Raise ValueError if there are tensors that a folder lacks."""
    if names:
        raise ValueError(
            f"path: the weights in {folder} lack {len(names)} tensors, e.g. {min(names)}; they are incomplete or "
            "belong to another architecture"
        )


def refuse_surplus(names: Collection[str], model: Collection[str], folder: Path) -> None:
    """Raise ValueError if there are more layers of a model: tensors whose names differ from its own in numbers."""
    kinds = {re.sub(r"\d+", "N", name) for name in model}
    further = [name for name in names if re.sub(r"\d+", "N", name) in kinds]
    if further:
        raise ValueError(
            f"path: the weights in {folder} hold {len(further)} tensors of layers that its config.json does not "
            f"describe, e.g. {min(further)}; copy config.json again"
        )


def _kind(tensor: Tensor) -> str:
    return f"{list(tensor.shape)}" + ("" if tensor.is_floating_point() else f" of {tensor.dtype}")


def _places(folder: Path) -> dict[str, Path]:
    """The file of every tensor: as the index says, or as the files themselves do where there is none."""
    if (folder / INDEX).is_file():
        return {name: folder / file for name, file in read_json(folder / INDEX)["weight_map"].items()}
    places: dict[str, Path] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with _opened(file) as tensors:
            places |= dict.fromkeys(tensors.keys(), file)
    return places


def _read(names: Mapping[str, Tensor], places: Mapping[str, Path]) -> Iterator[tuple[str, Tensor]]:
    """The named tensors, file by file."""
    for file in sorted({places[name] for name in names}):
        if not file.is_file():
            raise ValueError(f"path: {file} is missing, but {INDEX} names it; copy the file")
        with _opened(file) as tensors:
            content = set(tensors.keys())
            for name in sorted(name for name in names if places[name] == file):
                if name not in content:
                    raise ValueError(f"path: {file} lacks {name}, which {INDEX} says it holds; copy the file again")
                yield name, tensors.get_tensor(name)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        with safe_open(file, framework="pt") as tensors:
            yield tensors
    except (SafetensorError, OSError) as error:
        raise ValueError(f"path: {file} is damaged or no safetensors ({error}); copy the file again") from error
