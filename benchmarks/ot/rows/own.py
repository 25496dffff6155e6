"""This package's solvers, as a user calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from aista.losses.solvers.result import OTResult
from aista.losses.solvers.sinkhorn import sinkhorn
from benchmarks.ot.rows.base import Outcome, Prepare, Step, differentiate
from benchmarks.ot.workload import EPSILON, ITERATIONS, Case

__all__ = ["entropic", "solver"]


def solver(solve: Callable[..., OTResult], *, text: bool = True, **options: Any) -> Prepare:
    """An adapter of any solver of states; ``text`` False detaches the text."""

    def prepare(case: Case) -> Step:
        def values(x: Tensor, y: Tensor) -> Tensor:
            return solve(x, y, case.x_lengths_B, case.y_lengths_B, **options).value

        def step() -> Outcome:
            return differentiate(case, values, text=text)

        return step

    return prepare


def entropic(*, text: bool = True, **options: Any) -> Prepare:
    """An adapter of ``sinkhorn`` at the benchmark's epsilon and iterations."""
    return solver(sinkhorn, text=text, epsilon=EPSILON, max_iterations=ITERATIONS, tolerance=0.0, **options)
