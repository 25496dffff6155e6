"""Definition of a row, and shared code of adapters of torch libraries.

An adapter is ``prepare(case) -> step``. ``prepare`` does what is done once (conversion to another library's arrays,
compilation); ``step()`` goes from the states to values and gradients, and is what is timed. The tensors of the case are
on the device that is measured.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from aista.files import hash_file
from benchmarks.ot.workload import EPSILON, Case

__all__ = ["Outcome", "Prepare", "Row", "Step", "cosine_cost", "differentiate", "sample_epsilon"]


class Outcome(NamedTuple):
    """Values ``[B]`` of OT_eps in its KL form and the gradients of their sum; None where not available."""

    value_B: Tensor
    x_grad_BSD: Tensor
    y_grad_BTD: Tensor | None


Step = Callable[[], Outcome | None]
Prepare = Callable[[Case], Step]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A step to measure.

    Attributes:
        summary: Description.
        prepare: Its adapter.
        module: Module that must be importable, from the package ``distribution``.
        extra: Requirement for ``pip install``.
        devices: Devices that it runs on.
        whole: Whether it goes from states to gradients, so that the bytes of a whole step are its bytes too.
        ours: Whether a failed check is an error of this package.
        checked: Whether it solves the problem of the reference; where not, it has no errors.
        half: Whether it takes states in bf16; other rows get them in fp32.
        value_bound: Largest relative error of the values (L2, against float64) that passes.
        plugin: The file that it comes from, if it is a user's own.
        gradient_bound: Likewise of each side's gradient. The default allows what 50 plain iterations leave to be done.
    """

    summary: str
    prepare: Prepare
    module: str = "torch"
    distribution: str = "torch"
    extra: str = "aista"
    devices: tuple[str, ...] = ("cpu", "cuda")
    whole: bool = True
    ours: bool = False
    checked: bool = True
    half: bool = False
    value_bound: float = 1e-3
    gradient_bound: float = 1e-2
    plugin: str = ""

    def obstacle(self, device: str) -> str:
        """Reason why the row cannot run here; empty if it can."""
        if find_spec(self.module) is None:
            return f"{self.distribution} is not installed; pip install '{self.extra}'"
        if device in self.devices:
            return ""
        return "needs a GPU" if self.devices == ("cuda",) else f"runs on {' and '.join(self.devices)} only"

    def start(self, case: Case) -> Step:
        """Prepare the row for a case, converted to its dtype."""
        return self.prepare(case if self.half else case.to(case.x_BSD.device.type, torch.float32))

    @property
    def version(self) -> str:
        """The library and its version, e.g. ``POT 0.9.7``; a plug-in's file and how its SHA-256 begins."""
        if self.plugin:
            return f"{Path(self.plugin).name} {hash_file(Path(self.plugin))[:8]}"
        return f"{self.distribution} {importlib.metadata.version(self.distribution)}"


def differentiate(case: Case, values: Callable[[Tensor, Tensor], Tensor], *, text: bool = True) -> Outcome:
    """Call ``values(x, y)`` on fresh leaves and differentiate its sum; ``text`` False: by ``x`` alone."""
    x, y = case.x_BSD.detach().requires_grad_(), case.y_BTD.detach().requires_grad_(text)
    value_B = values(x, y)
    value_B.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    return Outcome(value_B.detach(), x.grad, y.grad)


def cosine_cost(x_BSD: Tensor, y_BTD: Tensor) -> Tensor:
    """``[B, S, T]`` cosine distances, padding included."""
    x, y = (z / torch.linalg.vector_norm(z, dim=-1, keepdim=True) for z in (x_BSD, y_BTD))
    return 1 - torch.bmm(x, y.mT)


def sample_epsilon(cost_BST: Tensor, a_BS: Tensor, b_BT: Tensor) -> Tensor:
    """``[B]`` epsilon of each sample, a constant: uniform masses weigh the mean."""
    mean = torch.bmm(torch.bmm(a_BS[:, None], cost_BST.detach()), b_BT[:, :, None])[:, 0, 0]
    return EPSILON * mean
