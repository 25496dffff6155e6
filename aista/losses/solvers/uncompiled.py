"""Keeps solvers out of ``torch.compile``'s graphs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import torch

__all__ = ["uncompiled"]

P = ParamSpec("P")
R = TypeVar("R")


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run outside the graph of a compiled caller.

    A solver's loops depend on what the tensors hold: tracing them would compile anew for each batch.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # torch.compiler.disable imports the compiler, which takes a second: only where there is one already.
        if torch.compiler.is_compiling():
            return cast(R, torch.compiler.disable(function)(*args, **kwargs))  # type: ignore[no-untyped-call]
        return function(*args, **kwargs)

    return call
