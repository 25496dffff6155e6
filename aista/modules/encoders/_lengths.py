"""The lengths that an encoder takes."""

from __future__ import annotations

from torch import Tensor

from aista.errors import DataError

__all__ = ["check_lengths"]


def check_lengths(lengths: Tensor, length_range: tuple[int, int], *, unit: str, remedy: str) -> list[int]:
    """The lengths as a list, or DataError naming the first row outside ``length_range``."""
    minimum, maximum = length_range
    values: list[int] = lengths.tolist()
    for row, length in enumerate(values):
        if not minimum <= length <= maximum:
            bound = f"at least {minimum}" if length < minimum else f"at most {maximum}"
            raise DataError(f"row {row} of the batch has {length} {unit}; the encoder takes {bound}; {remedy}")
    return values
