"""Masses of states in optimal transport: the weight of each state within its side."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor

from aista.losses.arguments import described
from aista.registry import build, register
from aista.schema import Component

__all__ = ["AnyMass", "Mass", "Norm", "Uniform", "resolve_mass"]


class Mass(Protocol):
    """A component of kind ``mass``, called as ``factory(config)``: ``[R, D] -> [R]``, at least 0 and not all 0.

    The solvers call it with one sample's content at a time, never with padding, in fp32 or fp64, and scale what it
    returns to sum to 1. Gradients flow through it unless it detaches. One that has an attribute ``batched = True`` is
    called on an accelerator with all samples, ``[N, R, D] -> [N, R]``; its values in the padding do not matter.
    A subclass with another ``__call__`` must set it again.
    """

    def __call__(self, states: Tensor) -> Tensor:
        """Return the mass of each state."""
        ...


AnyMass = Tensor | str | Mass | None
"""Masses that solvers accept: a tensor, a registered mass, a callable, or None for uniform masses."""


@register("mass", "uniform")
class Uniform:
    """Every state has the same mass. Choose it unless there is a reason for another."""

    batched = True

    def __call__(self, states: Tensor) -> Tensor:
        return states.new_ones(states.shape[:-1])


@register("mass", "norm")
class Norm:
    """Mass proportional to the state's norm, without gradient.

    Choose it where large states carry the content, as frames of speech do beside pauses; with a gradient a model could
    lower the loss by shrinking the states that are hard to match. Source: CMOT, Zhou et al. 2023 (arXiv 2305.14635).
    """

    batched = True

    def __call__(self, states: Tensor) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(states.detach(), dim=-1)
        return norms


def resolve_mass(mass: str | Mass, *, at: str = "mass") -> Mass:
    """The registered mass of that name with its default options, or the callable itself; ``at`` says which argument.

    Raises:
        ConfigError: no mass has that name.
        ValueError: it is neither a name nor a callable.
    """
    if isinstance(mass, str):
        return cast(Mass, build("mass", Component(mass), at=at))
    if not callable(mass):
        raise ValueError(
            f"{at} must be a tensor, the name of a registered mass or a callable [S, D] -> [S], got {described(mass)}"
        )
    return mass
