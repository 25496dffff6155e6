"""A batched weighted sum of rows whose result for a sample depends on nothing but that sample.

``torch.sum`` and ``torch.bmm`` choose their order of summation by the padded size and the batch,
so a sample's last bits would depend on the other samples. An embedding bag adds rows one after the
other: rows of weight 0 at the end change nothing, and it is as fast as ``bmm`` here.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["RowSum", "weighted_row_sum", "weighted_sum"]


class RowSum:
    """``w_nS -> sum_s w[n, s] * matrix[samples[n], s, :]``, for repeated use with one matrix."""

    def __init__(self, matrix_NST: Tensor, samples_n: Tensor | None = None) -> None:
        num, rows, columns = matrix_NST.shape
        device = matrix_NST.device
        # Strided tables take another path with another rounding; of a single column, contiguous() keeps any stride.
        self.table = matrix_NST.contiguous().reshape(-1).view(num * rows, columns)
        self.steps = torch.arange(rows, device=device)
        self.select(torch.arange(num, device=device) if samples_n is None else samples_n)

    def select(self, samples_n: Tensor) -> None:
        """Sum for these samples of the matrix from now on."""
        rows = self.steps.shape[0]
        self.indices = (samples_n[:, None] * rows + self.steps).reshape(-1)
        self.offsets = torch.arange(samples_n.shape[0], device=samples_n.device) * rows

    def __call__(self, weights_nS: Tensor) -> Tensor:
        """``[n, T]`` sums. The matrix must be finite wherever a weight is 0."""
        return torch.embedding_bag(
            self.table, self.indices, self.offsets, False, 0, False, weights_nS.reshape(-1), False
        )[0]


def weighted_row_sum(matrix_NST: Tensor, weights_NS: Tensor) -> Tensor:
    """``[N, T]``: ``sum_s weights[n, s] * matrix[n, s, :]``."""
    return RowSum(matrix_NST)(weights_NS)


def weighted_sum(values_NS: Tensor, weights_NS: Tensor) -> Tensor:
    """``[N]``: ``sum_s weights[n, s] * values[n, s]``. A running sum, too, adds in order."""
    if not values_NS.shape[1]:
        return values_NS.sum(1)
    return (values_NS * weights_NS).cumsum(1)[:, -1]
