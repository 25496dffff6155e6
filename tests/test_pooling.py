"""One vector per row, from its true positions alone."""

from __future__ import annotations

import math

import pytest
import torch

from aista.pooling import POOLINGS, pool


def norm_pooled() -> list[list[float]]:
    """Means weighted by norms, by hand."""
    pooled = []
    for row in ([(1, 4), (3, 2)], [(5, -1), (7, -3), (9, -5)]):
        norms = [math.hypot(*state) for state in row]
        pooled.append([sum(n * s[c] for n, s in zip(norms, row, strict=True)) / sum(norms) for c in (0, 1)])
    return pooled


class TestPool:
    states = torch.tensor([[[1.0, 4.0], [3.0, 2.0], [math.nan, math.inf]], [[5.0, -1.0], [7.0, -3.0], [9.0, -5.0]]])
    lengths = torch.tensor([2, 3])

    @pytest.mark.parametrize(
        ("how", "expected"),
        [
            ("mean", [[2.0, 3.0], [7.0, -3.0]]),
            ("max", [[3.0, 4.0], [9.0, -1.0]]),
            ("last", [[3.0, 2.0], [9.0, -5.0]]),
            ("norm", norm_pooled()),
        ],
    )
    def test_only_true_positions_count(self, how: str, expected: list[list[float]]) -> None:
        torch.testing.assert_close(pool(self.states, self.lengths, how), torch.tensor(expected))

    def test_a_row_of_zeros_has_a_mean_too(self) -> None:
        torch.testing.assert_close(pool(torch.zeros(1, 3, 2), torch.tensor([2]), "norm"), torch.zeros(1, 2))

    @pytest.mark.parametrize("how", POOLINGS)
    @pytest.mark.parametrize("width", [0, 2])
    def test_an_empty_row_is_zero(self, how: str, width: int) -> None:
        pooled = pool(torch.full((2, width, 3), math.nan), torch.tensor([0, 0]), how)
        torch.testing.assert_close(pooled, torch.zeros(2, 3))

    def test_unknown_pooling(self) -> None:
        with pytest.raises(ValueError, match="unknown pooling 'sum'; known: mean, max, last, norm"):
            pool(self.states, self.lengths, "sum")
