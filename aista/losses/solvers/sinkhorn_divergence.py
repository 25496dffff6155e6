"""The Sinkhorn divergence: entropic transport without its bias, so that equal clouds are at distance 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aista.losses.costs import Cost
from aista.losses.masses import AnyMass
from aista.losses.solvers.entropic import ACCELERATIONS, BACKENDS, EPSILON_SCALES, EntropicOptions, cost_scale, solve
from aista.losses.solvers.problem import Problem, from_cost, from_states
from aista.losses.solvers.result import OTResult
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register
from aista.schema import option

__all__ = ["SinkhornDivergence", "SinkhornDivergenceConfig", "sinkhorn_divergence", "sinkhorn_divergence_cost"]


def sinkhorn_divergence(
    x: Tensor,
    y: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    *,
    x_mass: AnyMass = None,
    y_mass: AnyMass = None,
    cost: str | Cost = "cosine",
    position_weight: float = 0.0,
    position_power: float = 1.0,
    epsilon: float = 0.1,
    epsilon_scale: str = "mean",
    max_iterations: int = 100,
    tolerance: float = 1e-3,
    acceleration: str = "auto",
    polish: bool = True,
    backend: str = "auto",
) -> OTResult:
    """Debiased entropic transport ``OT_eps(x, y) - OT_eps(x, x) / 2 - OT_eps(y, y) / 2``, for each sample.

    With the costs ``cosine``, ``sqeuclidean`` and ``euclidean`` it is at least 0, and 0 only where both sides are the
    same weighted cloud (cosine: of directions). All three terms share one epsilon, that of the x-y costs.

    Choose it over :func:`aista.losses.solvers.sinkhorn.sinkhorn` where states shrink toward each other during training:
    the plain regularised cost is smallest for clouds that are too narrow, this one is not. It takes three
    solutions, one of them S x S.

    Args:
        x: ``[..., S, D]`` states; leading dimensions (layers, batch) are folded.
        y: ``[..., T, D]`` states.
        x_lengths: ``[...]`` how many of the S positions are content. Padding is never read.
        y_lengths: ``[...]``. A sample with an empty side has value 0 and zero gradient.
        x_mass: As in ``sinkhorn``.
        y_mass: As in ``sinkhorn``.
        cost: As in ``sinkhorn``. A callable should have ``c(x, x) = 0`` and be symmetric.
        position_weight: As in ``sinkhorn``; it holds among the x and among the y as well.
        position_power: As in ``sinkhorn``.
        epsilon: As in ``sinkhorn``.
        epsilon_scale: As in ``sinkhorn``, of the x-y costs.
        max_iterations: As in ``sinkhorn``, for each term.
        tolerance: As in ``sinkhorn``, for each term.
        acceleration: As in ``sinkhorn``.
        polish: As in ``sinkhorn``.
        backend: As in ``sinkhorn``.

    Returns:
        Value (with its gradient) and report per sample. ``plan()`` and ``transport_cost`` are those of x and y; the
        potentials are the value's derivatives by the masses; ``num_iterations`` is the sum, ``marginal_error`` the
        largest of the three terms, and ``converged`` holds for all.

    Raises:
        ValueError: an argument is out of range or shapes disagree; the message names it.
        ConfigError: no cost has that name.

    Source: Genevay et al. 2018 (arXiv 1706.00292); Feydy et al. 2019 (arXiv 1810.08278).
    """
    options = _options(
        epsilon=epsilon,
        epsilon_scale=epsilon_scale,
        max_iterations=max_iterations,
        tolerance=tolerance,
        acceleration=acceleration,
        polish=polish,
        backend=backend,
    )
    geometry = {"cost": cost, "position_weight": position_weight, "position_power": position_power}
    return _from_states(x, y, x_lengths, y_lengths, options, x_mass=x_mass, y_mass=y_mass, **geometry)


def sinkhorn_divergence_cost(
    cost: Tensor,
    x_cost: Tensor,
    y_cost: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    *,
    x_mass: AnyMass = None,
    y_mass: AnyMass = None,
    epsilon: float = 0.1,
    epsilon_scale: str = "mean",
    max_iterations: int = 100,
    tolerance: float = 1e-3,
    acceleration: str = "auto",
    polish: bool = True,
    backend: str = "auto",
) -> OTResult:
    """As :func:`sinkhorn_divergence`, from the costs ``[..., S, T]``, ``[..., S, S]`` and ``[..., T, T]``."""
    options = _options(
        epsilon=epsilon,
        epsilon_scale=epsilon_scale,
        max_iterations=max_iterations,
        tolerance=tolerance,
        acceleration=acceleration,
        polish=polish,
        backend=backend,
    )
    both = from_cost(cost, x_lengths, y_lengths, x_mass=x_mass, y_mass=y_mass)
    for name, among, size in (("x_cost", x_cost, cost.shape[-2]), ("y_cost", y_cost, cost.shape[-1])):
        if among.shape != (*cost.shape[:-2], size, size):
            raise ValueError(f"{name} must have shape {[*cost.shape[:-2], size, size]}, got {list(among.shape)}")
    x_lengths, y_lengths = _where_both_are_present(x_lengths, y_lengths)
    among_x = from_cost(x_cost, x_lengths, x_lengths, x_mass=x_mass, y_mass=x_mass)
    among_y = from_cost(y_cost, y_lengths, y_lengths, x_mass=y_mass, y_mass=y_mass)
    return _solve(both, among_x, among_y, options)


@dataclass(frozen=True, kw_only=True)
class SinkhornDivergenceConfig:
    """Options of the Sinkhorn divergence."""

    epsilon: float = option(0.1, "Regularisation: smaller is sharper and slower.", above=0)
    epsilon_scale: str = option(
        "mean", "What epsilon is relative to: each sample's mean or max cost, or nothing.", choices=EPSILON_SCALES
    )
    max_iterations: int = option(100, "Most iterations of each of the three terms.", minimum=1)
    tolerance: float = option(1e-3, "L1 error of the marginals at which a term is done.", minimum=0)
    acceleration: str = option(
        "auto", "Over-relaxation: where it pays (auto), not at all, or from the start.", choices=ACCELERATIONS
    )
    polish: bool = option(True, "A Newton step after the iterations, which about squares the gradient's error.")
    backend: str = option(
        "auto", "Who iterates: plain log domain, exp domain on any device (cpu), GPU kernels.", choices=BACKENDS
    )


@register("ot_solver", "sinkhorn_divergence", config=SinkhornDivergenceConfig)
class SinkhornDivergence:
    """Debiased entropic transport: at least 0, and 0 for equal clouds. Three solutions in place of one."""

    def __init__(self, config: SinkhornDivergenceConfig) -> None:
        self.options = _options(**vars(config))

    def __call__(self, x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor, **geometry: Any) -> OTResult:
        """Solve each sample. ``geometry``: cost, masses and positional term, as in :func:`sinkhorn_divergence`."""
        return _from_states(x, y, x_lengths, y_lengths, self.options, **geometry)


def _options(**options: Any) -> EntropicOptions:
    return EntropicOptions(**options, rho=(math.inf, math.inf), value="regularized", gradient="envelope")


def _from_states(
    x: Tensor,
    y: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    options: EntropicOptions,
    *,
    x_mass: AnyMass = None,
    y_mass: AnyMass = None,
    **geometry: Any,
) -> OTResult:
    both = from_states(x, y, x_lengths, y_lengths, x_mass=x_mass, y_mass=y_mass, **geometry)
    x_lengths, y_lengths = _where_both_are_present(x_lengths, y_lengths)
    among_x = from_states(x, x, x_lengths, x_lengths, x_mass=x_mass, y_mass=x_mass, **geometry)
    among_y = from_states(y, y, y_lengths, y_lengths, x_mass=y_mass, y_mass=y_mass, **geometry)
    return _solve(both, among_x, among_y, options)


def _where_both_are_present(x_lengths: Tensor, y_lengths: Tensor) -> tuple[Tensor, Tensor]:
    present = (x_lengths > 0) & (y_lengths > 0)
    return x_lengths * present, y_lengths * present


@uncompiled
def _solve(both: Problem, among_x: Problem, among_y: Problem, options: EntropicOptions) -> OTResult:
    lengths = tuple((s, t) for _, s, t in both.samples)
    epsilon_N = options.epsilon * cost_scale(both.cost.detach(), lengths, options.epsilon_scale)
    xy, xx, yy = terms = [solve(problem, options, epsilon_N) for problem in (both, among_x, among_y)]
    errors = torch.stack([term.marginal_error for term in terms])
    return OTResult(
        value=xy.value - (xx.value + yy.value) / 2,
        transport_cost=xy.transport_cost,
        potentials=(
            xy.potentials[0] - (xx.potentials[0] + xx.potentials[1]) / 2,
            xy.potentials[1] - (yy.potentials[0] + yy.potentials[1]) / 2,
        ),
        num_iterations=xy.num_iterations + xx.num_iterations + yy.num_iterations,
        marginal_error=errors.amax(0),
        converged=xy.converged & xx.converged & yy.converged,
        build_plan=xy.build_plan,
    )
