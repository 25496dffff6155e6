"""Entropic optimal transport between padded batches of states, by Sinkhorn's algorithm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from aista.losses.costs import Cost
from aista.losses.masses import AnyMass
from aista.losses.solvers.entropic import ACCELERATIONS, BACKENDS, EPSILON_SCALES, VALUES, EntropicOptions, solve
from aista.losses.solvers.problem import from_cost, from_states
from aista.losses.solvers.result import OTResult
from aista.registry import register
from aista.schema import option

__all__ = ["Sinkhorn", "SinkhornConfig", "sinkhorn", "sinkhorn_cost"]


def sinkhorn(
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
    rho: tuple[float, float] = (math.inf, math.inf),
    max_iterations: int = 100,
    tolerance: float = 1e-3,
    acceleration: str = "auto",
    value: str = "regularized",
    gradient: str = "envelope",
    polish: bool = True,
    backend: str = "auto",
) -> OTResult:
    """Entropic transport cost between each sample's two sets of states.

    ``OT_eps = min_P <P, C> + eps KL(P | a b^T)``, subject to ``P 1 = a`` and ``P^T 1 = b`` (softly so where
    ``rho`` is finite). Computed in fp32 (fp64 if given), with autocast off. Each sample stops by itself and is
    solved, to the last bit, as if it were alone in the batch (with backend ``"triton"``, to rounding).

    Choose it for training: smooth, batched, cheap. Choose :func:`aista.losses.solvers.exact.exact` for the plan
    without blur, finite ``rho`` where some states should stay unmatched (pauses, fillers).

    Args:
        x: ``[..., S, D]`` states; leading dimensions (layers, batch) are folded.
        y: ``[..., T, D]`` states.
        x_lengths: ``[...]`` how many of the S positions are content. Padding is never read.
        y_lengths: ``[...]``. A sample with an empty side has value 0 and zero gradient.
        x_mass: ``[..., S]`` masses, differentiable; or a registered mass (``"uniform"``, which None is too; ``"norm"``:
            in proportion to the states' norms, detached), or a callable ``[S, D] -> [S]``. Scaled to sum to 1 over
            each sample's length.
        y_mass: ``[..., T]``, likewise.
        cost: Name of a registered cost, or a callable ``[S, D] x [T, D] -> [S, T]``.
        position_weight: Weight of ``|i/S - j/T|^position_power``, added to the cost.
        position_power: That power.
        epsilon: Regularisation. Smaller is sharper and slower.
        epsilon_scale: What ``epsilon`` is relative to: each sample's ``"mean"`` or ``"max"`` of ``|C|``, as a
            constant without gradient, or nothing (``"absolute"``).
        rho: Strengths, in units of the cost, that hold the two marginals; 0 frees one.
        max_iterations: Most iterations.
        tolerance: L1 error of the marginals at which a sample is done; 0 runs all iterations.
        acceleration: ``"overrelaxation"``: updates go further than the optimum of one side, the more so the slower a
            sample converges, which takes a third to a tenth of the iterations at small epsilon; ``"none"``; or
            ``"auto"``: over-relaxation for samples that have some 30 iterations or more to go, of balanced transport
            on backend ``"cpu"`` with a tolerance above 0.
        value: ``"regularized"``, OT_eps; or ``"linear"``, ``<P, C>`` alone (balanced only).
        gradient: ``"envelope"``: the exact gradient of the regularised value at the optimum, from the plan, with an
            error of the order of the marginal error; ``"implicit"``: that of the linear value, from a T x T solve, with
            the same error (a linear value has it in any case); or ``"unrolled"``: autograd through log-domain
            iterations, exact for the iterate that was reached, slow and large, for checking.
        polish: Whether a Newton step follows the iterations, for each sample whose marginal error it lowers: about
            squares that error and the gradient's, for a T x T Cholesky. Balanced and not unrolled only.
        backend: ``"reference"``: plain log domain; ``"cpu"``: exp domain, on any device, and log domain for samples
            that leave its range; ``"triton"``: one kernel launch, fp32, on a GPU; ``"auto"``: ``"triton"`` for costs
            on a GPU where it can run, else ``"cpu"``; it logs its choice. What is named is never replaced.

    Returns:
        Value (with its gradient) and report per sample.

    Raises:
        ValueError: an argument is out of range or shapes disagree; the message names it. Or backend ``"triton"``
            cannot take the costs.
        RuntimeError: backend ``"triton"`` was named and is not installed.
        ConfigError: no cost or mass has that name.

    Source: Cuturi 2013 (arXiv 1306.0895); Chizat et al. 2018 (arXiv 1607.05816) for finite ``rho``;
    Schmitzer 2019 (arXiv 1610.06519) for absorbed scalings; Lehmann et al. 2020 (arXiv 2012.12562) for over-relaxation.

    Example:
        >>> x, y = torch.randn(2, 5, 8, requires_grad=True), torch.randn(2, 3, 8)
        >>> result = sinkhorn(x, y, torch.tensor([5, 4]), torch.tensor([3, 2]), epsilon=0.2)
        >>> result.value.sum().backward()
        >>> result.plan().sum((1, 2))
        tensor([1.0000, 1.0000])
    """
    options = EntropicOptions(
        epsilon=epsilon,
        epsilon_scale=epsilon_scale,
        rho=rho,
        max_iterations=max_iterations,
        tolerance=tolerance,
        acceleration=acceleration,
        value=value,
        gradient=gradient,
        polish=polish,
        backend=backend,
    )
    problem = from_states(
        x,
        y,
        x_lengths,
        y_lengths,
        cost=cost,
        x_mass=x_mass,
        y_mass=y_mass,
        position_weight=position_weight,
        position_power=position_power,
    )
    return solve(problem, options)


def sinkhorn_cost(
    cost: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    *,
    x_mass: AnyMass = None,
    y_mass: AnyMass = None,
    epsilon: float = 0.1,
    epsilon_scale: str = "mean",
    rho: tuple[float, float] = (math.inf, math.inf),
    max_iterations: int = 100,
    tolerance: float = 1e-3,
    acceleration: str = "auto",
    value: str = "regularized",
    gradient: str = "envelope",
    polish: bool = True,
    backend: str = "auto",
) -> OTResult:
    """As :func:`sinkhorn`, from costs ``[..., S, T]`` that are already there."""
    options = EntropicOptions(
        epsilon=epsilon,
        epsilon_scale=epsilon_scale,
        rho=rho,
        max_iterations=max_iterations,
        tolerance=tolerance,
        acceleration=acceleration,
        value=value,
        gradient=gradient,
        polish=polish,
        backend=backend,
    )
    return solve(from_cost(cost, x_lengths, y_lengths, x_mass=x_mass, y_mass=y_mass), options)


@dataclass(frozen=True, kw_only=True)
class SinkhornConfig:
    """Options of balanced entropic transport."""

    epsilon: float = option(0.1, "Regularisation: smaller is sharper and slower.", above=0)
    epsilon_scale: str = option(
        "mean", "What epsilon is relative to: each sample's mean or max cost, or nothing.", choices=EPSILON_SCALES
    )
    max_iterations: int = option(100, "Most iterations.", minimum=1)
    tolerance: float = option(1e-3, "L1 error of the marginals at which a sample is done.", minimum=0)
    value: str = option("regularized", "The regularised cost, or <P, C> alone (linear).", choices=VALUES)
    acceleration: str = option(
        "auto", "Over-relaxation: where it pays (auto), not at all, or from the start.", choices=ACCELERATIONS
    )
    polish: bool = option(True, "A Newton step after the iterations, which about squares the gradient's error.")
    backend: str = option(
        "auto", "Who iterates: plain log domain, exp domain on any device (cpu), GPU kernels.", choices=BACKENDS
    )


@register("ot_solver", "sinkhorn", config=SinkhornConfig)
class Sinkhorn:
    """Balanced entropic transport: every state on each side is matched. The default solver for training."""

    def __init__(self, config: SinkhornConfig) -> None:
        self.options = EntropicOptions(**vars(config), rho=(math.inf, math.inf), gradient="envelope")

    def __call__(self, x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor, **geometry: Any) -> OTResult:
        """Solve each sample. ``geometry``: cost, masses and positional term, as in :func:`sinkhorn`."""
        return solve(from_states(x, y, x_lengths, y_lengths, **geometry), self.options)
