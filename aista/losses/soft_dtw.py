"""Soft dynamic time warping between speech and text states, over anti-diagonals of a padded batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.costs import Cost
from aista.losses.sides import checked, row_result
from aista.losses.solvers.pairwise import no_autocast
from aista.losses.solvers.problem import from_states
from aista.losses.solvers.uncompiled import uncompiled
from aista.registry import build, register
from aista.schema import Component, Options, component, option
from aista.types import LayerStates

__all__ = ["SoftDTW", "SoftDTWConfig", "soft_dtw"]


@uncompiled
def soft_dtw(costs: Tensor, x_lengths: Tensor, y_lengths: Tensor, gamma: float) -> Tensor:
    """Soft minimum, over all monotone paths, of the costs along a path.

    ``R_ij = C_ij + softmin(R_{i-1,j}, R_{i,j-1}, R_{i-1,j-1})``, ``softmin(a) = -gamma log sum exp(-a / gamma)``;
    the value is ``R_ST``. Cells of an anti-diagonal do not depend on each other: S + T - 1 vectorised steps serve
    the whole batch. The gradient is the expected path, by the recursion back from the end (E matrix), without a
    tape over the steps.

    Args:
        costs: ``[N, S, T]``, finite in the padding too.
        x_lengths: ``[N]`` at least 1.
        y_lengths: ``[N]`` at least 1.
        gamma: Smoothing of the minimum, above 0; towards 0 this is dynamic time warping.

    Returns:
        ``[N]``.

    Source: Cuturi & Blondel 2017 (arXiv 1703.01541).
    """
    return cast(Tensor, _SoftDTW.apply(costs, x_lengths, y_lengths, gamma))  # type: ignore[no-untyped-call]


@dataclass(frozen=True, kw_only=True)
class SoftDTWConfig(Options):
    """Options of soft dynamic time warping."""

    cost: Component = component("cost", "cosine", "Cost of matching a speech state with a text state.")
    gamma: float = option(0.1, "Smoothing of the minimum over paths, in units of the cost.", above=0)
    divergence: bool = option(
        False, "Subtract half of each side's value against itself (the soft-DTW divergence): equal sequences score 0."
    )


@register("alignment_loss", "soft_dtw", config=SoftDTWConfig)
class SoftDTW(AlignmentLoss):
    """Soft dynamic time warping of the two sides, divided by S + T so that its scale does not depend on length.

    ``dtw_gamma(x, y) / (S + T)``; as a divergence ``(dtw(x, y) - dtw(x, x) / 2 - dtw(y, y) / 2) / (S + T)``. Cost:
    ``S T`` per row in S + T steps (the divergence ``S S + T T`` more). The plain value may be negative: many paths
    share the minimum. Source: Cuturi & Blondel 2017 (arXiv 1703.01541); the divergence: Blondel et al. 2021
    (arXiv 2010.08354); for speech translation, hard paths: Issam et al. 2025 (arXiv 2509.18987).

    Choose it where the transcript follows the speech in order and the speaking rate varies: unlike ``ot`` its matching
    is monotone, unlike ``cosine`` at token level it adapts to the rate. All states are matched, pauses too.
    """

    def __init__(self, config: SoftDTWConfig) -> None:
        self.cost = cast(Cost, build("cost", config.cost, at="cost"))
        self.config = config

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        states = checked(states, detach_text=detach_text)
        x, y, present = states.speech, states.text, states.present
        lengths = states.speech_lengths.masked_fill(~present, 0), states.text_lengths.masked_fill(~present, 0)
        values = self._between(x, y, *lengths)
        if self.config.divergence:
            self_values = self._between(x, x, lengths[0], lengths[0]) + self._between(y, y, lengths[1], lengths[1])
            values = values - 0.5 * self_values
        return row_result(values / (lengths[0] + lengths[1]).clamp_min(1), present)

    def _between(self, x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor) -> Tensor:
        problem = from_states(x, y, x_lengths, y_lengths, cost=self.cost)
        x_lengths, y_lengths = problem.x_lengths.clamp_min(1), problem.y_lengths.clamp_min(1)
        with no_autocast(x.device):
            return problem.restore(soft_dtw(problem.cost, x_lengths, y_lengths, self.config.gamma))


class _SoftDTW(torch.autograd.Function):
    """Anti-diagonal k holds the cells (i, k - i), stored by i: ``[N, K, S]``, K = S + T - 1."""

    @staticmethod
    def forward(ctx: Any, costs: Tensor, x_lengths: Tensor, y_lengths: Tensor, gamma: float) -> Tensor:
        num, size_s, size_t = costs.shape
        ctx.gamma, ctx.size = gamma, (size_s, size_t)
        if not costs.numel():
            ctx.save_for_backward()
            return costs.new_zeros(num)
        row, column, exists = _diagonals(size_s, size_t, costs.device)
        skewed = costs[:, row, column].masked_fill(~exists, torch.inf)
        before, total = torch.full_like(skewed, torch.inf), torch.full_like(skewed, torch.inf)
        before[:, 0, 0], total[:, 0, 0] = 0.0, skewed[:, 0, 0]
        outside = costs.new_full((num, 1), torch.inf)
        for k in range(1, len(row)):
            left = total[:, k - 1]  # (i, j - 1)
            up = torch.cat([outside, left[:, :-1]], dim=1)  # (i - 1, j)
            corner = torch.cat([outside, total[:, k - 2, :-1]], dim=1) if k > 1 else torch.full_like(left, torch.inf)
            before[:, k] = -gamma * torch.stack([left, up, corner]).div_(-gamma).logsumexp(0)
            total[:, k] = before[:, k] + skewed[:, k]
        ctx.save_for_backward(before, total, x_lengths, y_lengths)
        return total[torch.arange(num, device=costs.device), x_lengths + y_lengths - 2, x_lengths - 1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        size_s, size_t = ctx.size
        if not ctx.saved_tensors:
            return grad_N.new_zeros(len(grad_N), size_s, size_t), None, None, None
        before, total, x_lengths, y_lengths = ctx.saved_tensors
        num, num_diagonals = before.shape[:2]
        exists = _diagonals(size_s, size_t, before.device)[2]
        before = before.masked_fill(~exists, -torch.inf)  # a cell that is not there passes nothing back
        # One diagonal and one row more than there are, so that every cell has its three successors.
        expected = before.new_zeros(num, num_diagonals + 2, size_s + 1)
        expected[torch.arange(num, device=before.device), x_lengths + y_lengths - 2, x_lengths - 1] = 1.0
        before = torch.nn.functional.pad(before, (0, 1, 0, 2), value=-torch.inf)
        for k in reversed(range(num_diagonals)):
            value = total[:, k]
            for step, shift in ((1, 0), (1, 1), (2, 1)):  # (i, j + 1), (i + 1, j), (i + 1, j + 1)
                there = slice(shift, shift + size_s)
                weight = ((before[:, k + step, there] - value) / ctx.gamma).exp()
                expected[:, k, :size_s] += weight * expected[:, k + step, there]
        i = torch.arange(size_s, device=before.device)[:, None]
        j = torch.arange(size_t, device=before.device)[None, :]
        return expected[:, i + j, i] * grad_N[:, None, None], None, None, None


def _diagonals(size_s: int, size_t: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """``[K, S]`` row and (clamped) column of each cell on each anti-diagonal, and whether it is there."""
    k = torch.arange(size_s + size_t - 1, device=device)[:, None]
    row = torch.arange(size_s, device=device)[None, :].expand(len(k), -1)
    column = k - row
    return row, column.clamp(0, size_t - 1), (column >= 0) & (column < size_t)
