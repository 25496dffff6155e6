"""What every optimal-transport solver returns, and what a registered solver is called with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from aista.losses.costs import Cost
from aista.losses.masses import AnyMass

__all__ = ["OTResult", "OTSolver"]


@dataclass(frozen=True)
class OTResult:
    """Optimal transport of each sample; all shapes start with the leading dimensions of the inputs (``...``).

    Attributes:
        value: ``[...]`` the loss; the only field with a gradient. 0 for samples with an empty side.
        transport_cost: ``[...]`` ``<P, C>``, detached.
        potentials: ``f [..., S]`` and ``g [..., T]``, the dual potentials in units of the cost; 0 in the padding.
        num_iterations: ``[...]`` iterations spent on each sample; 0 where the solver does not iterate.
        marginal_error: ``[...]`` L1 distance of the plan's marginals from where they must be, the worse side.
        converged: ``[...]`` whether the returned solution meets the solver's tolerance.
    """

    value: Tensor
    transport_cost: Tensor
    potentials: tuple[Tensor, Tensor]
    num_iterations: Tensor
    marginal_error: Tensor
    converged: Tensor
    build_plan: Callable[[], Tensor] = field(repr=False)

    def plan(self) -> Tensor:
        """The transport plan ``[..., S, T]``, detached, 0 in the padding. Built when asked for."""
        return self.build_plan()


class OTSolver(Protocol):
    """A component of kind ``ot_solver``, called as ``factory(config)``.

    Its config says how to solve; whoever calls the solver says what. The arguments are those of
    :func:`aista.losses.solvers.sinkhorn.sinkhorn`.
    """

    def __call__(
        self,
        x: Tensor,
        y: Tensor,
        x_lengths: Tensor,
        y_lengths: Tensor,
        *,
        cost: str | Cost = "cosine",
        x_mass: AnyMass = None,
        y_mass: AnyMass = None,
        position_weight: float = 0.0,
        position_power: float = 1.0,
    ) -> OTResult:
        """Transport each sample's ``x [..., S, D]`` to its ``y [..., T, D]``."""
        ...
