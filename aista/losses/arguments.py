"""Checks of arguments that users pass; messages name the argument, the rule and the value received.

They check types, shapes and devices. The values of lengths are read only on the CPU, where that costs nothing.
"""

from __future__ import annotations

import reprlib
from numbers import Real
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "at_most",
    "check_devices",
    "check_lengths",
    "check_number",
    "check_states",
    "described",
    "is_integer",
    "is_readable",
    "read_lengths",
]


def described(value: Any) -> str:
    """A value as messages show it: a tensor's type and shape, else the value after its type."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {list(value.shape)}"
    return repr(value) if value is None else f"{type(value).__name__} {reprlib.repr(value)}"


def check_states(name: str, states: Any, form: str) -> None:
    """Raise ValueError unless ``states`` are a floating point tensor of at least two dimensions."""
    if not isinstance(states, Tensor) or states.dim() < 2 or not states.is_floating_point():
        raise ValueError(f"{name} must be a floating point tensor {form}, got {described(states)}")


def check_number(name: str, value: Any) -> None:
    """Raise ValueError unless ``value`` is a real number of Python's or numpy's."""
    if not isinstance(value, Real):
        raise ValueError(f"{name} must be a number, got {described(value)}")


def check_devices(**tensors: Tensor) -> None:
    """Raise ValueError unless all tensors are on one device that holds values."""
    devices = [str(tensor.device) for tensor in tensors.values()]
    if len(set(devices)) > 1:
        raise ValueError(f"{' and '.join(tensors)} must be on one device, got {' and '.join(devices)}")
    if devices[0] == "meta":
        raise ValueError(f"{' and '.join(tensors)} must be on a device with values, got meta, which has none")


def is_integer(value: Any) -> bool:
    """Whether it is a tensor of whole numbers."""
    kind = value.dtype if isinstance(value, Tensor) else torch.bool
    return not (kind.is_floating_point or kind.is_complex or kind == torch.bool)


def check_lengths(name: str, lengths: Any, leading: torch.Size) -> None:
    """Raise ValueError unless ``lengths`` are integers of shape ``leading``."""
    if not is_integer(lengths) or lengths.shape != leading:
        raise ValueError(f"{name} must be a tensor of integers of shape {list(leading)}, got {described(lengths)}")
    check_devices(**{name: lengths})


def read_lengths(name: str, lengths: Any, leading: torch.Size, limit: int) -> list[int]:
    """Lengths that ``check_lengths`` accepts, as a flat list. Raises ValueError if one lies outside ``0..limit``."""
    check_lengths(name, lengths, leading)
    values: list[int] = lengths.reshape(-1).tolist()
    wrong = [value for value in values if not 0 <= value <= limit]
    if wrong:
        raise ValueError(f"{name} must lie in 0..{limit}, the padded length, got {wrong[0]}")
    return values


def at_most(value: Tensor, limit: int) -> int:
    """The value of a scalar if it can be read, else ``limit``, an upper bound; for sizes."""
    return int(value) if is_readable(value) else limit


def is_readable(tensor: Tensor) -> bool:
    """Whether values can be read without waiting for a GPU or breaking a compiled graph."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()
