"""Contracts of kind ``mass``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aista.testing.contracts import contract
from aista.testing.tensors import assert_returned, ramp

Mass = Callable[[Tensor], Tensor]


@contract("mass")
def check_shapes(mass: Mass) -> None:
    """``[R, D] -> [R]`` in the states' dtype, also for one state."""
    for size in (5, 1):
        for dtype in (torch.float32, torch.float64):
            masses = mass(ramp(size, 6, dtype=dtype))
            assert_returned(masses, torch.Tensor, "masses [R]")
            assert list(masses.shape) == [size], f"[{size}, 6] must give [{size}], got {list(masses.shape)}"
            assert masses.dtype == dtype, f"{dtype} states must give {dtype} masses, got {masses.dtype}"


@contract("mass")
def check_values(mass: Mass) -> None:
    """Finite, at least 0, not all 0; and states with a zero state among them give gradients that are finite."""
    states = torch.cat([ramp(4, 6), torch.zeros(1, 6)]).requires_grad_(True)
    masses = mass(states)
    assert torch.isfinite(masses).all(), "masses must be finite, of a zero state too"
    assert (masses >= 0).all(), f"masses must be at least 0, got {float(masses.detach().min()):g}"
    assert masses.sum() > 0, "masses must not all be 0"
    if masses.requires_grad:
        (grad,) = torch.autograd.grad(masses.sum(), states)
        assert torch.isfinite(grad).all(), "gradients must be finite, of a zero state too"
