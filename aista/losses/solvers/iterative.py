"""Shared options of iterative regularised solvers: an epsilon relative to the costs, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn.ragged import weighted_row_sum, weighted_sum
from aista.losses.solvers.problem import Problem
from aista.schema import Options, option

__all__ = ["Iterative", "mean_cost"]

EPSILON_SCALES = ("mean", "max", "absolute")


@dataclass(frozen=True, kw_only=True)
class Iterative(Options):
    """Options of every solver that regularises and iterates."""

    epsilon: float = option(0.1, "Regularisation: smaller is sharper and slower.", above=0)
    epsilon_scale: str = option(
        "mean",
        "Unit of epsilon: each sample's mean or max of |C| (a constant without gradient), or 1 (absolute).",
        choices=EPSILON_SCALES,
    )
    max_iterations: int = option(100, "Maximum number of iterations.", minimum=1)
    tolerance: float = option(
        1e-3,
        "L1 error of the marginals at which a sample stops; 0 runs all iterations.",
        minimum=0,
    )

    def epsilon_per_sample(self, problem: Problem) -> Tensor:
        """``[N]`` epsilon in units of the cost, without gradient."""
        cost_NST = problem.content_cost()
        if self.epsilon_scale == "absolute":
            return self.epsilon * cost_NST.new_ones(len(cost_NST))
        if self.epsilon_scale == "max" and cost_NST.numel():
            return self.epsilon * _positive(cost_NST.abs().amax((1, 2)))
        return self.epsilon * mean_cost(problem)


def mean_cost(problem: Problem) -> Tensor:
    """``[N]`` each sample's mean of ``|C|``, without gradient; 1 where every cost is 0."""
    size = problem.content_cost().abs()
    if not size.numel():
        return size.new_ones(len(size))
    total = weighted_sum(weighted_row_sum(size, torch.ones_like(size[:, :, 0])), torch.ones_like(size[:, 0]))
    return _positive(total / (problem.x_lengths * problem.y_lengths).clamp_min(1))


def _positive(scale_N: Tensor) -> Tensor:
    # Where every cost is 0 any regularisation will do.
    return torch.where(scale_N == 0, 1.0, scale_N)
