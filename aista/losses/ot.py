"""Optimal-transport alignment of one layer's speech and text states, the loss of AI-STA; registered as ``ot``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.costs import Cost
from aista.losses.guides.base import Guide, guide_cost
from aista.losses.masses import Mass
from aista.losses.sides import checked, row_result
from aista.losses.solvers.base import OTResult, OTSolver, Solver, check_geometry
from aista.losses.solvers.problem import from_states
from aista.losses.solvers.sinkhorn_divergence import SinkhornDivergence
from aista.registry import build, register
from aista.schema import Component, Options, component, option
from aista.types import LayerStates

__all__ = ["OTAlignment", "OTAlignmentConfig"]


@dataclass(frozen=True, kw_only=True)
class OTAlignmentConfig(Options):
    """Options of the transport loss: masses, costs, solver and guide."""

    cost: Component = component("cost", "cosine", "Cost of matching a speech state with a text state.")
    solver: Component = component("ot_solver", "sinkhorn", "How the transport problem is solved.")
    speech_mass: Component = component("mass", "uniform", "Mass of a speech state.")
    text_mass: Component = component("mass", "uniform", "Mass of a text state.")
    position_weight: float = option(0.0, "Weight of |i/S - j/T|^power, which favours the diagonal.", minimum=0)
    position_power: float = option(1.0, "The power in that term.", above=0)
    guide: Component | None = component("guide", None, "Guide to the position of each token in the speech; null: none.")
    guide_weight: float = option(1.0, "Weight of the guide's cost, which is 0 to 1.", minimum=0)
    guide_floor: float = option(
        1e-3,
        "Guide weight at and below which a pair's cost is 1; it limits the effect of a wrong guide.",
        above=0,
        below=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("guide_weight", "guide_floor"):
            value = getattr(self, name)
            if self.guide is None and value != getattr(type(self), name):
                raise ValueError(f"{name} {value:g} has no effect without a guide; name one in guide, or leave it out")


@register("alignment_loss", "ot", config=OTAlignmentConfig)
class OTAlignment(AlignmentLoss):
    """Optimal-transport distance between the speech and text states of an utterance (AI-STA's alignment loss).

    Choose it over a contrastive or regression loss where the two sides differ in length and their
    matching is unknown: transport finds a soft matching and pulls matched states together.

    With a guide, whose weights ``w_ij`` are the probability that token j is spoken at speech position i, the cost is
    ``C_ij + guide_weight log max(w_ij, floor) / log floor``; the last term is 1 at and below the floor, and 0 at weight
    1 and for tokens unknown to the guide. Gradients flow through C alone. Add a guide where it finds words better than
    the states do: word times from an aligner (``times``), or the order (``monotone``). On the embedded corpus ``ot``
    gained little from one; ``token_contrast`` uses it better. An epsilon relative to the mean cost grows with the
    guide's cost.
    """

    def __init__(self, config: OTAlignmentConfig) -> None:
        self.cost = cast(Cost, build("cost", config.cost, at="cost"))
        self.solver = cast(OTSolver, build("ot_solver", config.solver, at="solver"))
        self.speech_mass = cast(Mass, build("mass", config.speech_mass, at="speech_mass"))
        self.text_mass = cast(Mass, build("mass", config.text_mass, at="text_mass"))
        check_geometry(self.solver, self.cost, config.position_weight)
        self.guide = None if config.guide is None else cast(Guide, build("guide", config.guide, at="guide"))
        if self.guide is not None:
            self.needs = self.guide.needs
            _check_takes_costs(self.solver)
        self.config = config

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        """Return each row's transport loss; see ``AlignmentLoss``. Padding is never read."""
        result = self._solve(states, context, detach_text=detach_text)
        reports = {
            "transport_cost": result.transport_cost,
            "marginal_error": result.marginal_error,
            "converged": result.converged,
            "num_iterations": result.num_iterations,
        }
        return row_result(result.value, states.present, **reports)

    def plan(self, states: LayerStates, context: AlignmentContext) -> Tensor:
        """The transport plans ``[B, P, T]`` of the rows, detached, 0 in the padding: for plots."""
        with torch.no_grad():
            return self._solve(states, context, detach_text=True).plan()

    def _solve(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool) -> OTResult:
        states = checked(states, detach_text=detach_text)
        sides = (states.speech, states.text, states.speech_lengths, states.text_lengths)
        geometry: dict[str, Any] = {
            "cost": self.cost,
            "x_mass": self.speech_mass,
            "y_mass": self.text_mass,
            "position_weight": self.config.position_weight,
            "position_power": self.config.position_power,
        }
        if self.guide is None:
            return self.solver(*sides, **geometry)
        guidance = self.guide(states, context)
        extra = self.config.guide_weight * guide_cost(guidance, self.config.guide_floor)
        solver = cast(Solver, self.solver)
        return solver.solve(from_states(*sides, **geometry, batched=solver.batched).plus(extra))


def _check_takes_costs(solver: OTSolver) -> None:
    """Raise ValueError unless the solver works on one matrix of costs, to which a guide's can be added."""
    if not isinstance(solver, Solver) or isinstance(solver, SinkhornDivergence):
        raise ValueError(
            f"a guide adds to the costs between the two sides, and {type(solver).__name__} takes others than these: "
            f"choose another solver, such as sinkhorn, or set guide: null"
        )
