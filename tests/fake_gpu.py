"""A GPU without a GPU: tensors that have shapes and types alone, among which everything that stops the host raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["WAITS", "HostWaitsError", "fake_gpu", "take_for_gpu"]


class HostWaitsError(Exception):
    """A finished copy, or an operation's report of success, that the host waits for."""


WAITS = (DataDependentOutputException, DynamicOutputShapeException, HostWaitsError)
"""What is raised where the host would need a number, a size that depends on numbers, or one of ``HostWaitsError``."""

CHECKED = ("_linalg_eigh", "linalg_eig", "_linalg_svd", "_linalg_check_errors")
"""Operations of ATen that read on the host whether they converged."""


@contextmanager
def fake_gpu() -> Iterator[torch.device]:
    """Within it tensors hold no numbers; those made on the device that it gives may not be waited for.

    The device is ``lazy``: of all types beside the CPU the only one that every build of torch can compute with, forward
    and backward, where there is no such device. It has no autocast, which is left out.
    """
    with mock.patch.object(torch, "autocast", return_value=nullcontext()), FakeTensorMode(), _Watch():
        yield torch.device("lazy")


def take_for_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the solvers choose their GPU kernels for tensors of that device; needs triton."""
    from aista.losses.kernels.sinkhorn import backend, launch

    monkeypatch.setattr(launch, "refusal", lambda cost: None)
    monkeypatch.setattr(backend, "_on_gpu", lambda cost: cost.device.type != "cpu")


class _Watch(TorchDispatchMode):
    """Sees what fake tensors let pass."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        if name in CHECKED and args[0].device.type != "cpu":
            raise HostWaitsError(name)
        if name == "_to_copy":
            _check_copy(args[0], kwargs.get("device") or args[0].device, kwargs.get("non_blocking", False))
        elif name == "copy_" and isinstance(args[1], Tensor):
            _check_copy(args[1], args[0].device, (*args, False)[2])
        return func(*args, **kwargs)


def _check_copy(source: Tensor, target: torch.device, non_blocking: bool) -> None:
    if source.device.type != target.type and (target.type == "cpu" or not non_blocking):
        raise HostWaitsError(f"a copy from {source.device.type} to {target.type}")
