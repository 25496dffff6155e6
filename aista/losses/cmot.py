"""One-sided nearest-state matching near the diagonal, registered as ``cmot``."""

from __future__ import annotations

from dataclasses import dataclass

from aista.losses.ot import OTAlignment, OTAlignmentConfig
from aista.losses.solvers.relaxed import SIDES, Relaxed
from aista.registry import register
from aista.schema import Component, Options, component, option

__all__ = ["CMOTAlignment", "CMOTAlignmentConfig"]


@dataclass(frozen=True, kw_only=True)
class CMOTAlignmentConfig(Options):
    """Options of one-sided matching."""

    cost: Component = component("cost", "cosine", "Cost of matching a speech state with a text state.")
    side: str = option("x", "States that are matched with their nearest: x (speech), y (text), or both.", choices=SIDES)
    window: float | None = option(
        4.0, "Farthest match from the diagonal, in positions of the shorter side; null: anywhere.", minimum=1
    )
    mass: Component = component("mass", "norm", "Mass of a state.")


@register("alignment_loss", "cmot", config=CMOTAlignmentConfig)
class CMOTAlignment(OTAlignment):
    """Mean cost of moving each speech state to its nearest text state within a window about the diagonal.

    ``sum_i a_i min_{j in W(i)} C_ij``, with ``W(i) = {j: |(i + 1/2) / S - (j + 1/2) / T| min(S, T) <= window}``
    and ``a`` the masses; the same scale whatever the batch size. This is ``ot`` with the solver ``relaxed`` under
    the defaults that go with it. Source: Zhou et al. 2023, "CMOT: Cross-modal Mixup via Optimal Transport"
    (arXiv 2305.14635), who mix the states matched so; here their cost is the loss. Window 4 is aista's choice.

    Choose it where ``ot`` with iterations is too slow, or as its cheapest alternative: time and memory of the cost
    matrix, an exact gradient. Nothing keeps many speech states from sharing one token; ``side: both`` helps.
    """

    def __init__(self, config: CMOTAlignmentConfig) -> None:
        solver = Component("relaxed", Relaxed(side=config.side, window=config.window))
        super().__init__(
            OTAlignmentConfig(cost=config.cost, solver=solver, speech_mass=config.mass, text_mass=config.mass)
        )
