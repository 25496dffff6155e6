"""Arguments and results of an iteration kernel.

N samples, S and T padded lengths; padding carries no mass and costs 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from aista.types import length_mask

__all__ = ["EntropicProblem", "Potentials"]


@dataclass(frozen=True)
class EntropicProblem:
    """``min_P <P, C> + eps KL(P | a b^T) + rho_x KL(P 1 | a) + rho_y KL(P^T 1 | b)``, sample by sample.

    Attributes:
        cost_NST: Costs, 0 in the padding.
        a_NS: Masses; each row sums to 1. Zeros are allowed.
        b_NT: Likewise.
        lengths_N2: ``(S_n, T_n)`` of each sample.
        epsilon_N: Regularisation, in units of the cost.
        rho_x: Strength of the penalty on the first marginal: ``inf`` is exact, 0 is none.
        rho_y: Likewise for the second.
    """

    cost_NST: Tensor
    a_NS: Tensor
    b_NT: Tensor
    lengths_N2: tuple[tuple[int, int], ...]
    epsilon_N: Tensor
    rho_x: float
    rho_y: float

    @cached_property
    def x_mask(self) -> Tensor:
        """``[N, S]`` where the first side has content."""
        return self._mask(0, self.a_NS.shape[1])

    @cached_property
    def y_mask(self) -> Tensor:
        """``[N, T]`` where the second side has content."""
        return self._mask(1, self.b_NT.shape[1])

    @cached_property
    def unused(self) -> Tensor:
        """``[N, S, T]`` entries without influence, whose exponentials may overflow: padding, no mass at either end."""
        has_mass = (self.a_NS > 0)[:, :, None] | (self.b_NT > 0)[:, None, :]
        return ~(has_mass & self.x_mask[:, :, None] & self.y_mask[:, None, :])

    def damping(self, rho: float) -> Tensor:
        """``[N]`` ``rho / (rho + eps)``: the exponent that a finite strength puts on an update; 1 where balanced."""
        rho_N = torch.full_like(self.epsilon_N, rho)
        return 1 / (1 + self.epsilon_N / rho_N)

    def swapped(self) -> EntropicProblem:
        """The same problems with the two sides in each other's place."""
        lengths = tuple((t, s) for s, t in self.lengths_N2)
        costs = self.cost_NST.mT
        return EntropicProblem(costs, self.b_NT, self.a_NS, lengths, self.epsilon_N, self.rho_y, self.rho_x)

    def _mask(self, side: int, size: int) -> Tensor:
        lengths = torch.tensor([pair[side] for pair in self.lengths_N2], dtype=torch.long, device=self.cost_NST.device)
        return length_mask(lengths, size)

    def sample(self, n: int) -> EntropicProblem:
        """The ``n``-th sample alone, without padding."""
        s, t = self.lengths_N2[n]
        one = slice(n, n + 1)
        return EntropicProblem(
            self.cost_NST[one, :s, :t],
            self.a_NS[one, :s],
            self.b_NT[one, :t],
            self.lengths_N2[one],
            self.epsilon_N[one],
            self.rho_x,
            self.rho_y,
        )


class Potentials(NamedTuple):
    """Dual potentials; ``P = a b exp((f + g - C) / eps)``. Their values in the padding mean nothing.

    Attributes:
        f_NS: In units of the cost.
        g_NT: Likewise. Updated last, so that its marginal is exact up to rounding.
        num_iterations_N: Full iterations (one update of each side) that each sample took.
    """

    f_NS: Tensor
    g_NT: Tensor
    num_iterations_N: Tensor
