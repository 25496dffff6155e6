"""Contracts of kind ``ot_solver``: ``solver(x [B, S, D], y [B, T, D], x_lengths, y_lengths) -> OTResult``."""

from __future__ import annotations

import torch
from torch import Tensor

from aista.losses.solvers.base import OTResult, OTSolver
from aista.testing.contracts import contract
from aista.testing.tensors import assert_close, assert_ignores_padding, assert_returned, fill_padding, gradients, ramp

X_LENGTHS, Y_LENGTHS = (9, 1, 5, 4), (4, 3, 6, 1)


@contract("ot_solver")
def check_shapes(solver: OTSolver) -> None:
    """Value, error and convergence are ``[B]``, the plan ``[B, S, T]``; half-precision states give fp32 values."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x, y, x_lengths, y_lengths = _batch(dtype=dtype)
        result = solver(x, y, x_lengths, y_lengths)
        assert_returned(result, OTResult, "an OTResult (OTResult.of makes one)")
        for name in ("value", "marginal_error", "converged"):
            shape = list(getattr(result, name).shape)
            assert shape == [4], f"{name} must have the shape [4] of the lengths, got {shape}"
        plan = result.plan()
        assert list(plan.shape) == [4, 9, 6], f"the plan must be [4, 9, 6], got {list(plan.shape)}"
        expected = torch.float64 if dtype == torch.float64 else torch.float32
        assert result.value.dtype == expected, f"{dtype} states must give {expected} values, got {result.value.dtype}"
        assert torch.isfinite(result.value).all(), f"values must be finite, got {result.value.tolist()}"
        assert result.converged.dtype == torch.bool, f"converged must be bool, got {result.converged.dtype}"


@contract("ot_solver")
def check_marginals(solver: OTSolver) -> None:
    """The plan is nonnegative, 0 in the padding, and is as exact as ``marginal_error`` says.

    Where all masses are 1 the marginals must be uniform; a solver that frees one of them has an attribute
    ``balanced = False``.
    """
    x, y, x_lengths, y_lengths = _batch()
    result = solver(x, y, x_lengths, y_lengths)
    plan = result.plan()
    assert not plan.requires_grad, "the plan must be detached"
    assert (plan >= 0).all(), f"the plan has negative entries, down to {float(plan.min()):.3g}"
    masses = plan.sum((1, 2)).tolist()
    assert all(0 < mass <= 1 + 1e-3 for mass in masses), f"masses of plans must lie in (0, 1], got {masses}"
    is_balanced = getattr(solver, "balanced", True) and all(mass >= 1 - 1e-3 for mass in masses)
    for row, (s, t) in enumerate(zip(X_LENGTHS, Y_LENGTHS, strict=True)):
        outside = int(plan[row].count_nonzero() - plan[row, :s, :t].count_nonzero())
        assert not outside, f"row {row}: the plan puts mass into the padding, at {outside} places"
        error, claimed = _balanced_error(plan[row, :s, :t]), float(result.marginal_error[row])
        message = f"row {row}: says marginal_error {claimed:.3g}, but the plan's marginals are off by {error:.3g}"
        assert not is_balanced or error <= 2 * claimed + 1e-3, message
        doubtful = bool(result.converged[row]) and claimed > 0.1
        assert not doubtful, f"row {row}: says converged with a marginal_error of {claimed:.3g}"


@contract("ot_solver")
def check_padding(solver: OTSolver) -> None:
    """Numbers and NaN in the padding never matter, nor does its amount, and padding gets no gradient."""
    x, y, x_lengths, y_lengths = _batch()
    sides = {"x": (x, x_lengths), "y": (y, y_lengths)}
    assert_ignores_padding(lambda x, y: _solve(solver, (x, y, x_lengths, y_lengths)), sides, tolerance=1e-6)


@contract("ot_solver")
def check_batch_invariance(solver: OTSolver) -> None:
    """A row solved alone, without padding, gives the value and gradient it has in a batch."""
    x, y, x_lengths, y_lengths = _batch()
    value, grads = _solve(solver, (x, y, x_lengths, y_lengths))
    for row, (s, t) in enumerate(zip(X_LENGTHS, Y_LENGTHS, strict=True)):
        one = slice(row, row + 1)
        alone, (x_grad, y_grad) = _solve(solver, (x[one, :s], y[one, :t], x_lengths[one], y_lengths[one]))
        assert_close(alone, value[one], f"row {row}'s value depends on the other rows", tolerance=1e-5)
        assert_close(x_grad[0], grads[0][row, :s], f"row {row}'s gradient depends on the other rows", tolerance=1e-5)
        assert_close(y_grad[0], grads[1][row, :t], f"row {row}'s gradient depends on the other rows", tolerance=1e-5)


@contract("ot_solver")
def check_empty_rows(solver: OTSolver) -> None:
    """A row with an empty side has value 0, an empty plan and no gradient, and does not affect other rows."""
    x, y, x_lengths, y_lengths = _batch()
    expected, _ = _solve(solver, (x, y, x_lengths, y_lengths))
    x_lengths, y_lengths = x_lengths.clone(), y_lengths.clone()
    x_lengths[1], y_lengths[2] = 0, 0
    batch = (fill_padding(x, x_lengths, torch.nan), fill_padding(y, y_lengths, torch.nan), x_lengths, y_lengths)
    value, grads = _solve(solver, batch)
    plan = solver(*batch).plan()
    for row in (1, 2):
        assert float(value[row]) == 0, f"row {row} has an empty side, so its value must be 0, got {float(value[row])}"
        assert not plan[row].any(), f"row {row} has an empty side, so its plan must be 0"
        assert not grads[0][row].any(), f"row {row} has an empty side, so it must get no gradient"
        assert not grads[1][row].any(), f"row {row} has an empty side, so it must get no gradient"
    for row in (0, 3):
        assert_close(value[row], expected[row], f"an empty row changes row {row}", tolerance=1e-5)
    nothing = torch.zeros(4, dtype=torch.long)
    value, _ = _solve(solver, (x, y, nothing, nothing))
    assert not value.any(), "a batch of empty rows must have value 0"


@contract("ot_solver")
def check_gradients(solver: OTSolver) -> None:
    """The value rises along its gradient about as fast as the gradient says (float64, central difference).

    Within a factor of 2 only: solvers may hold an epsilon that is relative to the cost fixed.
    """
    x, y, x_lengths, y_lengths = _batch(dtype=torch.float64)
    for side in (0, 1):
        _, grads = _solve(solver, (x, y, x_lengths, y_lengths))
        direction = grads[side]
        size = float(direction.norm())
        assert size > 0, f"{'xy'[side]} gets no gradient"
        step = 1e-4 * direction / size
        ends = [[z + sign * step if side == i else z for i, z in enumerate((x, y))] for sign in (1, -1)]
        up, down = (float(solver(a, b, x_lengths, y_lengths).value.sum()) for a, b in ends)
        slope = (up - down) / 2e-4
        message = f"along {'xy'[side]}'s gradient the value changes by {slope:.5g}, the gradient says {size:.5g}"
        assert 0.5 * size <= slope <= 2 * size, message


def _batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x_lengths, y_lengths = torch.tensor(X_LENGTHS), torch.tensor(Y_LENGTHS)
    x = fill_padding(ramp(4, 9, 5, dtype=torch.float64), x_lengths, 0.0).to(dtype)
    y = fill_padding(ramp(4, 6, 5, seed=1, dtype=torch.float64), y_lengths, 0.0).to(dtype)
    return x, y, x_lengths, y_lengths


def _solve(solver: OTSolver, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    x, y = (z.detach().clone().requires_grad_(True) for z in batch[:2])
    result: OTResult = solver(x, y, *batch[2:])
    return result.value.detach(), gradients(result.value.sum(), x, y)


def _balanced_error(plan: Tensor) -> float:
    s, t = plan.shape
    return max(float((plan.sum(1) - 1 / s).abs().sum()), float((plan.sum(0) - 1 / t).abs().sum()))
