"""Optimal-transport alignment of one layer's speech and text states: the alignment loss that the method is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.costs import Cost
from aista.losses.masses import Mass
from aista.losses.sides import checked, row_result
from aista.losses.solvers.base import OTResult, OTSolver, check_geometry
from aista.registry import build, register
from aista.schema import Component, Options, component, option
from aista.types import LayerStates

__all__ = ["OTAlignment", "OTAlignmentConfig"]


@dataclass(frozen=True, kw_only=True)
class OTAlignmentConfig(Options):
    """What is transported, at what cost, and by which solver."""

    cost: Component = component("cost", "cosine", "Cost of matching a speech state with a text state.")
    solver: Component = component("ot_solver", "sinkhorn", "How the transport problem is solved.")
    speech_mass: Component = component("mass", "uniform", "Mass of a speech state.")
    text_mass: Component = component("mass", "uniform", "Mass of a text state.")
    position_weight: float = option(0.0, "Weight of |i/S - j/T|^power, which favours the diagonal.", minimum=0)
    position_power: float = option(1.0, "The power in that term.", above=0)


@register("alignment_loss", "ot", config=OTAlignmentConfig)
class OTAlignment(AlignmentLoss):
    """Optimal-transport distance between the speech and the text states of an utterance.

    Choose it over a contrastive or regression loss where the two sides differ in length and their
    matching is unknown: transport finds a soft matching and pulls matched states together.
    """

    def __init__(self, config: OTAlignmentConfig) -> None:
        self.cost = cast(Cost, build("cost", config.cost, at="cost"))
        self.solver = cast(OTSolver, build("ot_solver", config.solver, at="solver"))
        self.speech_mass = cast(Mass, build("mass", config.speech_mass, at="speech_mass"))
        self.text_mass = cast(Mass, build("mass", config.text_mass, at="text_mass"))
        check_geometry(self.solver, self.cost, config.position_weight)
        self.config = config

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        """Return each row's transport loss; see ``AlignmentLoss``. Padding is never read."""
        result = self._solve(states, detach_text)
        reports = {
            "transport_cost": result.transport_cost,
            "marginal_error": result.marginal_error,
            "converged": result.converged,
            "num_iterations": result.num_iterations,
        }
        return row_result(result.value, states.present, **reports)

    def plan(self, states: LayerStates) -> Tensor:
        """The transport plans ``[B, P, T]`` of the rows, detached, 0 in the padding: for plots."""
        with torch.no_grad():
            return self._solve(states, detach_text=True).plan()

    def _solve(self, states: LayerStates, detach_text: bool) -> OTResult:
        states = checked(states, detach_text=detach_text)
        return self.solver(
            states.speech,
            states.text,
            states.speech_lengths,
            states.text_lengths,
            cost=self.cost,
            x_mass=self.speech_mass,
            y_mass=self.text_mass,
            position_weight=self.config.position_weight,
            position_power=self.config.position_power,
        )
