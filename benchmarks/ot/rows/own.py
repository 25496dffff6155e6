"""This package's solvers, as a user calls them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from aista.losses import Sinkhorn
from aista.losses.solvers.base import OTSolver
from benchmarks.ot.rows.base import Outcome, Prepare, Step, differentiate
from benchmarks.ot.workload import EPSILON, ITERATIONS, Case

__all__ = ["entropic", "solver"]


def solver(solve: OTSolver, *, text: bool = True) -> Prepare:
    """An adapter of any solver; ``text`` False detaches the text."""

    def prepare(case: Case) -> Step:
        def values(x: Tensor, y: Tensor) -> Tensor:
            return solve(x, y, case.x_lengths_B, case.y_lengths_B).value

        def step() -> Outcome:
            return differentiate(case, values, text=text)

        return step

    return prepare


def entropic(*, text: bool = True, **options: Any) -> Prepare:
    """An adapter of ``Sinkhorn`` at the benchmark's epsilon and iterations."""
    return solver(Sinkhorn(epsilon=EPSILON, max_iterations=ITERATIONS, tolerance=0.0, **options), text=text)
