"""Which iteration kernel runs: the caller's choice, or one made by where the costs are."""

from __future__ import annotations

import importlib
import logging
from functools import cache
from importlib.util import find_spec
from types import ModuleType

from torch import Tensor

__all__ = ["BACKENDS", "kernel", "resolve"]

BACKENDS = ("auto", "reference", "scaling", "triton")
MODULES = {"reference": "reference", "scaling": "scaling", "triton": "launch"}  # triton is imported with its module

log = logging.getLogger("aista.losses")


def resolve(backend: str, cost_NST: Tensor) -> str:
    """The backend that takes these costs; what was named explicitly is never replaced by another.

    ``auto`` is ``triton`` where the costs are on a GPU, triton is installed and its kernels take them, else ``scaling``
    (which runs on any device). It logs its choice once for each kind of device.

    Raises:
        RuntimeError: ``triton`` was named and is not installed.
        ValueError: ``triton`` was named and cannot take these costs; the message says why.
    """
    if backend == "auto":
        on_gpu = cost_NST.is_cuda and find_spec("triton") is not None and not kernel("triton").refusal(cost_NST)
        chosen = "triton" if on_gpu else "scaling"
        _announce(cost_NST.device.type, chosen)
        return chosen
    if backend == "triton":
        if find_spec("triton") is None:
            raise RuntimeError(
                "backend 'triton' needs the package triton, which torch's CUDA wheels for Linux bring along: "
                "install one of these, or choose backend 'scaling'"
            )
        refusal = kernel("triton").refusal(cost_NST)
        if refusal:
            raise ValueError(f"backend 'triton' cannot run: {refusal}")
    return backend


def kernel(backend: str) -> ModuleType:
    """The module whose ``solve`` a resolved backend runs."""
    return importlib.import_module(f"aista.losses.kernels.sinkhorn.{MODULES[backend]}")


@cache
def _announce(device: str, backend: str) -> None:
    log.info("Sinkhorn on tensors of device %s: backend %s", device, backend)
