"""Checks a solver's values and gradients against a float64 reference."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from aista.errors import RunError
from aista.losses import OTResult, Sinkhorn
from benchmarks.ot.rows.base import Outcome, Row, differentiate
from benchmarks.ot.workload import EPSILON, Case

__all__ = ["Errors", "measure_errors", "relative_error", "solve_exactly"]

MOST_ITERATIONS = 5000
TOLERANCE = 1e-9  # of the marginals; the gradient's error is of that order, and the Newton step squares it
BF16_VALUE_BOUND, BF16_GRADIENT_BOUND = 1e-4, 1e-2  # where states and gradients are rounded to bf16


class Errors(NamedTuple):
    """Relative L2 errors; NaN where the row has no such result."""

    value: float = math.nan
    x_gradient: float = math.nan
    y_gradient: float = math.nan

    def faults(self, row: Row, dtype: torch.dtype = torch.float32) -> list[str]:
        """Errors above their bounds, in words; a result that is not finite has an infinite error."""
        value_bound, gradient_bound = row.value_bound, row.gradient_bound
        if dtype == torch.bfloat16 and row.half:
            value_bound, gradient_bound = max(value_bound, BF16_VALUE_BOUND), max(gradient_bound, BF16_GRADIENT_BOUND)
        bounds = (("value", value_bound), ("x_gradient", gradient_bound), ("y_gradient", gradient_bound))
        return [
            f"{name.replace('_', ' ')} is off by {getattr(self, name):.1e}, the bound is {bound:.0e}"
            for name, bound in bounds
            if getattr(self, name) > bound
        ]


def solve_exactly(case: Case) -> Outcome:
    """Values and gradients at the optimum: float64, log domain, until the marginals are right.

    Raises:
        RunError: the iterations did not converge.
    """
    solver = Sinkhorn(epsilon=EPSILON, tolerance=TOLERANCE, max_iterations=MOST_ITERATIONS, backend="reference")
    result: OTResult | None = None

    def values(x: Tensor, y: Tensor) -> Tensor:
        nonlocal result
        result = solver(x, y, case.x_lengths_B, case.y_lengths_B)
        return result.value

    outcome = differentiate(case._replace(x_BSD=case.x_BSD.double(), y_BTD=case.y_BTD.double()), values)
    assert result is not None
    if not bool(result.converged.all()):
        error = float(result.marginal_error.max())
        raise RunError(f"the float64 reference did not converge: marginal error {error:.1e}, wanted {TOLERANCE:.0e}")
    return outcome


def measure_errors(outcome: Outcome | None, exact: Outcome) -> Errors:
    """The relative L2 error of each result that the row has."""
    if outcome is None:
        return Errors()
    pairs = zip(outcome, exact, strict=True)
    return Errors(*(math.nan if mine is None else relative_error(mine, right) for mine, right in pairs))


def relative_error(mine: Tensor, exact: Tensor | None) -> float:
    """The L2 norm of the difference over that of what is exact; infinite where it is not finite."""
    assert exact is not None
    error = float(torch.linalg.vector_norm(mine.double() - exact) / torch.linalg.vector_norm(exact))
    return error if math.isfinite(error) else math.inf
