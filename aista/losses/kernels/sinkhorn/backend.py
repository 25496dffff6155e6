"""Choice of the iteration kernel: named by the caller, or by the device of the costs."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn import batched, reference, scaling

__all__ = ["BACKENDS", "kernel", "resolve"]

BACKENDS = ("auto", "reference", "scaling", "batched", "triton")

log = logging.getLogger("aista.losses")


def resolve(backend: str, cost_NST: Tensor) -> str:
    """Resolve a backend's name for these costs; a backend named explicitly is never replaced by another.

    ``auto`` is ``triton`` where the costs are on a GPU, triton is installed, its kernels support the costs and have
    solved a small test problem there correctly (``first_use.py``); else ``scaling``, which runs on any device. The
    choice is logged once for each kind of device, with any fault of the kernels.

    Raises:
        RuntimeError: ``triton`` was named and is not installed, or does not work on the device.
        ValueError: ``triton`` was named and cannot take these costs; the message says why.
    """
    if backend == "auto":
        fault = (
            _fault(cost_NST) if _on_gpu(cost_NST) and _installed() and not kernel("triton").refusal(cost_NST) else None
        )
        chosen = "triton" if fault == "" else "scaling"
        if not torch.compiler.is_compiling():
            _announce(cost_NST.device.type, chosen, fault or "")
        return chosen
    if backend == "triton":
        if not _installed():
            raise RuntimeError(
                "backend 'triton' needs the package triton, which torch's CUDA wheels for Linux bring along: "
                "install one of these, or choose backend 'scaling'"
            )
        refusal = kernel("triton").refusal(cost_NST)
        if refusal:
            raise ValueError(f"backend 'triton' cannot run: {refusal}")
        fault = _fault(cost_NST)
        if fault:
            raise RuntimeError(f"backend 'triton' cannot be used: its kernels do not work here; {fault}")
    return backend


def kernel(backend: str) -> ModuleType:
    """The module whose ``solve`` a resolved backend runs."""
    if backend == "triton":
        from aista.losses.kernels.sinkhorn import launch

        return launch
    return {"reference": reference, "scaling": scaling, "batched": batched}[backend]


def _installed() -> bool:
    return torch.compiler.is_compiling() or find_spec("triton") is not None  # a graph cannot hold the search


def _on_gpu(cost_NST: Tensor) -> bool:
    return cost_NST.is_cuda


def _fault(cost_NST: Tensor) -> str:
    from aista.losses.kernels.sinkhorn import first_use

    return first_use.fault(cost_NST)


@cache
def _announce(device: str, backend: str, fault: str) -> None:
    log.info("Sinkhorn on tensors of device %s: backend %s", device, backend)
    if fault:
        log.warning("The Triton kernels of Sinkhorn are not used: %s. Please report this line.", fault)
