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
        4.0,
        "Maximum distance of a match from the diagonal, in positions of the shorter side; null: no limit.",
        minimum=1,
    )
    mass: Component = component("mass", "norm", "Mass of a state.")


@register("alignment_loss", "cmot", config=CMOTAlignmentConfig)
class CMOTAlignment(OTAlignment):
    """Mean cost of moving each speech state to its nearest text state within a window about the diagonal.

    ``sum_i a_i min_{j in W(i)} C_ij``, with ``W(i) = {j: |(i + 1/2) / S - (j + 1/2) / T| min(S, T) <= window}``
    and ``a`` the masses; its scale does not depend on the batch size. This is ``ot`` with the solver ``relaxed`` and
    other defaults. Source: Zhou et al. 2023, "CMOT: Cross-modal Mixup via Optimal Transport" (arXiv 2305.14635), who
    mix the states matched in this way; here the matching's cost is the loss. Window 4 is aista's choice.

    Choose it where ``ot`` with iterations is too slow: it costs only the time and memory of the cost matrix and has an
    exact gradient. Many speech states may share one token; ``side: both`` helps.
    """

    def __init__(self, config: CMOTAlignmentConfig) -> None:
        solver = Component("relaxed", Relaxed(side=config.side, window=config.window))
        super().__init__(
            OTAlignmentConfig(cost=config.cost, solver=solver, speech_mass=config.mass, text_mass=config.mass)
        )
