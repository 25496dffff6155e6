"""A guide by the transport plan between speech and text states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch

from aista.losses.base import AlignmentContext
from aista.losses.costs import Cost
from aista.losses.guides.base import Guidance, Guide, content_mask
from aista.losses.solvers.base import OTSolver, check_geometry
from aista.registry import build, register
from aista.schema import Component, Options, component, option
from aista.types import LayerStates

__all__ = ["Transport", "TransportConfig"]


@dataclass(frozen=True, kw_only=True)
class TransportConfig(Options):
    """Options of ``transport``: those of ``ot`` that determine the plan."""

    cost: Component = component("cost", "cosine", "Cost of matching a speech state with a text state.")
    solver: Component = component("ot_solver", "sinkhorn", "How the transport problem is solved.")
    position_weight: float = option(1.0, "Weight of |i/S - j/T|^power, which favours the diagonal.", minimum=0)
    position_power: float = option(1.0, "The power in that term.", above=0)


@register("guide", "transport", config=TransportConfig)
class Transport(Guide):
    """The transport plan between the layer's speech and text states, with uniform masses.

    ``w_pt = P_pt / sum_t P_pt``: the share of position p's mass that goes to token t. Each position, also one of
    silence, belongs to some token, and each token gets the same amount of speech. It needs only the states.
    Cost: that of ``ot``. Choose it where nothing is known about the positions of words; ``monotone`` keeps the order
    and models silence.
    """

    def __init__(self, config: TransportConfig) -> None:
        self.cost = cast(Cost, build("cost", config.cost, at="cost"))
        self.solver = cast(OTSolver, build("ot_solver", config.solver, at="solver"))
        check_geometry(self.solver, self.cost, config.position_weight)
        self.config = config

    @torch.no_grad()
    def __call__(self, states: LayerStates, context: AlignmentContext) -> Guidance:
        plan = self.solver(
            *(states.speech, states.text, states.speech_lengths, states.text_lengths),
            cost=self.cost,
            position_weight=self.config.position_weight,
            position_power=self.config.position_power,
        ).plan()
        mass = plan.sum(-1, keepdim=True)
        return Guidance(plan / mass.masked_fill(mass == 0, 1), content_mask(states))
