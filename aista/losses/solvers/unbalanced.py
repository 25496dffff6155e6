"""Unbalanced entropic transport: marginals held by penalties, so that some states may stay unmatched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from aista.losses.solvers.entropic import BACKENDS, EPSILON_SCALES, EntropicOptions, solve
from aista.losses.solvers.problem import from_states
from aista.losses.solvers.result import OTResult
from aista.registry import register
from aista.schema import option

__all__ = ["Unbalanced", "UnbalancedConfig"]


@dataclass(frozen=True, kw_only=True)
class UnbalancedConfig:
    """Options of unbalanced entropic transport."""

    rho_x: float = option(1.0, "Strength that holds the speech marginal, in units of the cost; 0 frees it.", minimum=0)
    rho_y: float = option(1.0, "Strength that holds the text marginal; .inf for exactly.", minimum=0)
    epsilon: float = option(0.1, "Regularisation: smaller is sharper and slower.", above=0)
    epsilon_scale: str = option(
        "mean", "What epsilon is relative to: each sample's mean or max cost, or nothing.", choices=EPSILON_SCALES
    )
    max_iterations: int = option(100, "Most iterations.", minimum=1)
    tolerance: float = option(1e-3, "L1 error of the optimal marginals at which a sample is done.", minimum=0)
    backend: str = option(
        "auto", "Who iterates: plain log domain, exp domain on any device (cpu), GPU kernels.", choices=BACKENDS
    )


@register("ot_solver", "unbalanced", config=UnbalancedConfig)
class Unbalanced:
    """Entropic transport with KL-penalised marginals: ``sinkhorn(..., rho=(rho_x, rho_y))``.

    Choose it where speech holds states that no token explains (pauses, fillers, noise): a state whose
    cheapest match costs much more than ``rho`` loses its mass instead of dragging a token along.
    The value is the whole objective, penalties included.
    """

    def __init__(self, config: UnbalancedConfig) -> None:
        self.options = EntropicOptions(
            epsilon=config.epsilon,
            epsilon_scale=config.epsilon_scale,
            rho=(config.rho_x, config.rho_y),
            max_iterations=config.max_iterations,
            tolerance=config.tolerance,
            value="regularized",
            gradient="envelope",
            backend=config.backend,
        )

    def __call__(self, x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor, **geometry: Any) -> OTResult:
        """Solve each sample. ``geometry``: cost, masses and positional term, as in ``sinkhorn``."""
        return solve(from_states(x, y, x_lengths, y_lengths, **geometry), self.options)
