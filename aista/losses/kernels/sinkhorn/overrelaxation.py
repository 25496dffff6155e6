"""Over-relaxation factor of each sample's Sinkhorn updates, adapted during the iterations.

Near the optimum Sinkhorn's error falls by a factor ``lambda`` per iteration, as in a Gauss-Seidel iteration on the
dual. Stepping ``omega`` times as far (successive over-relaxation) makes that ``omega - 1`` for the best omega,
``2 / (1 + sqrt(1 - lambda))``: 0.82 in place of 0.99. While omega is below the best, the rate ``r`` that is seen obeys
Young's relation ``(r + omega - 1)^2 = r omega^2 lambda``, which gives lambda and with it the next omega.

Source: Young 1954; Thibault et al. 2017 (arXiv 1711.01851) and Lehmann et al. 2020 (arXiv 2012.12562) for Sinkhorn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["OverRelaxation"]

WORTHWHILE = 30  # plain iterations to go below which omega stays 1: an over-relaxed one costs about twice as much
LARGEST = 1.98  # rounding and the other modes of the error are amplified as omega nears 2
HASTE = 0.5  # of the way to 2 that omega may rise at once: early errors fall slower than later ones
DOUBT = 0.95  # of omega - 1 where the error falls no faster than an omega beyond the best would let it
RETREAT = 0.8  # of omega - 1 where the error rose, and of the largest one where a step left the range of the dtype


class OverRelaxation:
    """The factors of the samples that still iterate.

    Each depends on its own sample's errors alone, so a batch changes nothing.
    """

    def __init__(self, num_samples: int, tolerance: float, period: int) -> None:
        """Start with plain iterations.

        Args:
            num_samples: n of them.
            tolerance: Error at which a sample is done.
            period: Iterations between two errors; the last before each is a plain one.
        """
        self.omegas = [1.0] * num_samples
        self.ceilings = [LARGEST] * num_samples
        self.errors = [math.inf] * num_samples
        self.tolerance = tolerance
        self.period = period

    @property
    def active(self) -> bool:
        """Whether any sample overshoots."""
        return any(omega > 1 for omega in self.omegas)

    def column(self, like: Tensor) -> Tensor:
        """``[n, 1]`` the factors, as ``like``."""
        return torch.tensor(self.omegas, dtype=like.dtype, device=like.device)[:, None]

    def adapt(self, errors: Sequence[float]) -> list[bool]:
        """Update the factors from the samples' errors; returns which samples must go back to their last state.

        A sample goes back where overshooting led to an error that is not finite; it starts over without.
        """
        failed = [omega > 1 and not math.isfinite(error) for omega, error in zip(self.omegas, errors, strict=True)]
        for n, error in enumerate(errors):
            if failed[n]:
                self.ceilings[n] = 1 + RETREAT * (self.omegas[n] - 1)
                self.omegas[n], self.errors[n] = 1.0, math.inf
            else:
                self.omegas[n] = min(self._next(self.omegas[n], self.errors[n], error), self.ceilings[n])
                self.errors[n] = error
        return failed

    def keep(self, index: Sequence[int]) -> None:
        """Restrict the state to these samples."""
        self.omegas = [self.omegas[n] for n in index]
        self.ceilings = [self.ceilings[n] for n in index]
        self.errors = [self.errors[n] for n in index]

    def _next(self, omega: float, before: float, error: float) -> float:
        if not (math.isfinite(before) and math.isfinite(error) and before > 0 and error > 0):
            return omega
        rate = (error / before) ** (1 / self.period)
        if rate >= 1:
            return 1 + RETREAT * (omega - 1)
        if rate <= omega - 1:
            return 1 + DOUBT * (omega - 1)
        if omega == 1 and self.tolerance >= error * rate**WORTHWHILE:
            return 1.0
        plain_rate = (rate + omega - 1) ** 2 / (rate * omega**2)
        best = 2 / (1 + math.sqrt(max(1 - plain_rate, 0.0)))
        return max(omega, min(best, omega + HASTE * (2 - omega)))
