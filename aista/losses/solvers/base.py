"""Interface of optimal-transport solvers: arguments, result and base class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from aista.losses.costs import Cost
from aista.losses.masses import AnyMass
from aista.losses.solvers.gradient import with_gradient
from aista.losses.solvers.problem import Problem, from_states
from aista.schema import Options

__all__ = ["OTResult", "OTSolver", "Solver", "check_geometry"]


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

    @classmethod
    def of(
        cls,
        problem: Problem,
        *,
        value_N: Tensor,
        transport_cost_N: Tensor,
        potentials: tuple[Tensor, Tensor],
        marginal_error_N: Tensor,
        converged_N: Tensor,
        plan_NST: Tensor | Callable[[], Tensor],
        num_iterations_N: Tensor | None = None,
    ) -> OTResult:
        """The results of a problem's samples in the shapes of its inputs, empty samples included.

        The arguments are those of the class per sample; all but ``value_N`` are detached. ``plan_NST`` may be what
        builds the plans, and ``num_iterations_N`` is None where the solver does not iterate.
        """
        num_iterations_N = (
            torch.zeros_like(converged_N, dtype=torch.long) if num_iterations_N is None else num_iterations_N
        )
        f_NS, g_NT = potentials
        plain = problem.detached()  # the plan needs no graph, and a result may outlive its backward pass

        def build_plan() -> Tensor:
            return plain.restore_padded(plan_NST if isinstance(plan_NST, Tensor) else plan_NST(), 0, 1)

        return cls(
            value=problem.restore(value_N),
            transport_cost=problem.restore(transport_cost_N.detach()),
            potentials=(problem.restore_padded(f_NS.detach(), 0), problem.restore_padded(g_NT.detach(), 1)),
            num_iterations=problem.restore(num_iterations_N),
            marginal_error=problem.restore(marginal_error_N.detach()),
            converged=problem.restore(converged_N, fill=True),
            build_plan=build_plan,
        )

    @classmethod
    def of_plan(
        cls,
        problem: Problem,
        cost_N: Tensor,
        plan_NST: Tensor,
        potentials: tuple[Tensor, Tensor],
        *,
        marginal_error_N: Tensor,
        converged_N: Tensor,
        num_iterations_N: Tensor | None = None,
    ) -> OTResult:
        """As ``of``, for unregularised transport, whose value is ``<P, C>``.

        Its (sub)gradient is the plan by the costs and the potentials by the masses.
        """
        sources = (problem.cost, problem.x_mass, problem.y_mass)
        return cls.of(
            problem,
            value_N=with_gradient(cost_N, *zip(sources, (plan_NST, *potentials), strict=True)),
            transport_cost_N=cost_N,
            potentials=potentials,
            marginal_error_N=marginal_error_N,
            converged_N=converged_N,
            plan_NST=plan_NST,
            num_iterations_N=num_iterations_N,
        )


class OTSolver(Protocol):
    """A component of kind ``ot_solver``: its options set the method, the arguments of the call the problem.

    One that cannot take every cost, or no positional term, has a method ``check_geometry(cost, position_weight)`` that
    raises ValueError there: whatever combines solvers with costs asks it before the first call.
    """

    def __call__(
        self,
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
    ) -> OTResult:
        """Transport each sample's ``x [..., S, D]`` to its ``y [..., T, D]``; see :meth:`Solver.__call__`."""
        ...


def check_geometry(solver: OTSolver, cost: Cost, position_weight: float = 0.0) -> None:
    """Let a solver refuse what it cannot take. Raises ValueError."""
    if hasattr(solver, "check_geometry"):
        solver.check_geometry(cost, position_weight)


class Solver(Options, ABC):
    """Base of solvers that need the costs alone: a frozen dataclass of options, and :meth:`solve`."""

    @property
    def batched(self) -> bool | None:
        """The argument ``batched`` of ``from_states``."""
        return None

    @property
    def balanced(self) -> bool:
        """Whether the plan must have both given marginals."""
        return True

    def __call__(
        self,
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
    ) -> OTResult:
        """Transport each sample's ``x`` to its ``y``.

        Costs are computed in fp32 (fp64 if given), with autocast off. On the CPU a sample's result is the same, to the
        last bit, in any batch and with any padding. On other devices, and with ``backend: batched``, costs and masses
        that say how are computed for the batch at once, products in the precision of the states, equal to rounding. On
        other devices lengths and masses are not checked: a length beyond the padding gives NaN.

        Args:
            x: ``[..., S, D]`` states; leading dimensions (layers, batch) are folded.
            y: ``[..., T, D]`` states.
            x_lengths: ``[...]`` how many of the S positions are content. Padding is never read.
            y_lengths: ``[...]``. A sample with an empty side has value 0 and zero gradient.
            x_mass: ``[..., S]`` masses, differentiable; or a registered mass (``"uniform"``, which None is too;
                ``"norm"``: in proportion to the states' norms, detached), or a callable ``[S, D] -> [S]``. Scaled to
                sum to 1 over each sample's length.
            y_mass: ``[..., T]``, likewise.
            cost: Name of a registered cost, or a callable ``[S, D] x [T, D] -> [S, T]``.
            position_weight: Weight of ``|i/S - j/T|^position_power``, added to the cost.
            position_power: That power.

        Returns:
            Value (with its gradient) and report per sample.

        Raises:
            ValueError: an argument has the wrong type, shape or device or is out of range; the message names it.
            ConfigError: no cost or mass has that name.
        """
        return self.solve(
            from_states(
                x,
                y,
                x_lengths,
                y_lengths,
                x_mass=x_mass,
                y_mass=y_mass,
                cost=cost,
                position_weight=position_weight,
                position_power=position_power,
                batched=self.batched,
            )
        )

    @abstractmethod
    def solve(self, problem: Problem) -> OTResult:
        """Transport with the costs and masses of a problem, which ``from_states`` and ``from_cost`` build."""
