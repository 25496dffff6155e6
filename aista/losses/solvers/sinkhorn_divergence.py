"""The Sinkhorn divergence: entropic transport without its bias, so that equal point clouds have distance 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from aista.losses.costs import Cost
from aista.losses.masses import AnyMass
from aista.losses.solvers.base import OTResult
from aista.losses.solvers.entropic import Balanced, solve
from aista.losses.solvers.problem import Problem, check_problems, from_states
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import register

__all__ = ["SinkhornDivergence"]


@register("ot_solver", "sinkhorn_divergence")
@dataclass(frozen=True, kw_only=True)
class SinkhornDivergence(Balanced):
    """Debiased entropic transport: at least 0, and 0 for equal point clouds. Solves three problems per sample.

    ``OT_eps(x, y) - OT_eps(x, x) / 2 - OT_eps(y, y) / 2``. With the costs ``cosine``, ``sqeuclidean`` and ``euclidean``
    it is at least 0, and 0 only where both sides are the same weighted cloud (cosine: of directions); a cost of your
    own should be symmetric, with ``c(x, x) = 0``. All terms share one epsilon, that of the x-y costs, and a positional
    term holds among the x and among the y as well. Cost: three solutions, one of them S x S.

    ``plan()`` and ``transport_cost`` are those of x and y; the potentials are the value's derivatives by the masses;
    ``num_iterations`` is the sum, ``marginal_error`` the largest of the three terms, and ``converged`` holds for all.

    Choose it over ``sinkhorn`` where states shrink toward each other during training: the plain regularised cost is
    smallest for clouds that are too narrow, this one is not.

    Source: Genevay et al. 2018 (arXiv 1706.00292); Feydy et al. 2019 (arXiv 1810.08278).

    Examples:
        >>> x, lengths = torch.randn(1, 5, 8), torch.tensor([5])
        >>> SinkhornDivergence()(x, x, lengths, lengths).value
        tensor([0.])
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
        """Compare each sample's ``x`` with its ``y``; the arguments are those of :meth:`Solver.__call__`."""
        problem = partial(
            from_states,
            cost=cost,
            position_weight=position_weight,
            position_power=position_power,
            batched=self.batched,
        )
        both = problem(x, y, x_lengths, y_lengths, x_mass=x_mass, y_mass=y_mass)
        if both.cost.dtype == torch.float64:
            x, y = x.double(), y.double()  # the terms are computed alike, though only one side may be fp64
        present = (x_lengths > 0) & (y_lengths > 0)
        x_lengths, y_lengths = x_lengths * present, y_lengths * present
        among_x = problem(x, x, x_lengths, x_lengths, x_mass=x_mass, y_mass=x_mass)
        among_y = problem(y, y, y_lengths, y_lengths, x_mass=y_mass, y_mass=y_mass)
        return self.solve(both, among_x, among_y)

    def solve(self, both: Problem, among_x: Problem | None = None, among_y: Problem | None = None) -> OTResult:
        """As :meth:`Solver.solve`, with the costs among the states of each side too.

        Args:
            both: Problem with the costs between x and y.
            among_x: Problem among the x of the same samples; a row without y must have length 0 here.
            among_y: Likewise.

        Raises:
            ValueError: one of the three is missing, or they are of other samples or differ in dtype.
        """
        takes = "three problems (of x and y, among the x, among the y)"
        problems = check_problems(both, among_x, among_y, expected=takes)
        _check_samples(*problems)
        epsilon_N = self.epsilon_per_sample(both)
        xy, xx, yy = terms = [solve(problem, self, epsilon_N) for problem in problems]
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


@uncompiled
def _check_samples(both: Problem, among_x: Problem, among_y: Problem) -> None:
    """Raise ValueError unless the three are of the same samples; lengths that are on a device are not read."""
    for name, among, side in (("among_x", among_x, 1), ("among_y", among_y, 2)):
        if (among.rows is None) != (both.rows is None) or among.leading != both.leading:
            raise ValueError(f"{name} must be built from the same batch as both, in the same way")
        expected = both.rows is not None and tuple((sample[0], sample[side], sample[side]) for sample in both.samples)
        if expected and among.samples != expected:
            raise ValueError(f"{name} must hold the samples (row, length, length) {expected}, got {among.samples}")
        if among.cost.dtype != both.cost.dtype:
            raise ValueError(f"{name} must hold {both.cost.dtype} as both does, got {among.cost.dtype}")
