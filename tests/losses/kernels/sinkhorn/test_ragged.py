from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aista.losses.kernels.sinkhorn.ragged import RowSum, weighted_row_sum, weighted_sum


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 30), st.integers(0, 30), st.booleans())
def test_padding_and_neighbours_change_no_bit(s, t, more_s, more_t, double):
    g = torch.Generator().manual_seed(s * 71 + t)
    dtype = torch.float64 if double else torch.float32
    matrix = torch.rand(3, s + more_s, t + more_t, generator=g, dtype=dtype)
    weights = torch.rand(3, s + more_s, generator=g, dtype=dtype)
    weights[:, s:] = 0
    batch = weighted_row_sum(matrix, weights)
    alone = weighted_row_sum(matrix[1:2, :s, :t].contiguous(), weights[1:2, :s])
    assert torch.equal(batch[1, :t], alone[0])
    torch.testing.assert_close(batch, torch.einsum("nst,ns->nt", matrix, weights))


@pytest.mark.parametrize("size", [5, 9, 40])
def test_a_single_column_of_a_transposed_matrix(size):
    """Its stride tells nothing, but decides which code adds it up."""
    g = torch.Generator().manual_seed(size)
    matrix, weights = torch.rand(50, 2, size, generator=g), torch.rand(50, size, generator=g)
    batch = weighted_row_sum(matrix.mT, weights)
    for n in range(50):
        alone = weighted_row_sum(matrix[n : n + 1, :1].contiguous().mT, weights[n : n + 1])
        assert torch.equal(batch[n, :1], alone[0])


def test_a_selection_of_samples():
    matrix, weights = torch.rand(4, 5, 3), torch.rand(2, 5)
    row_sum = RowSum(matrix)
    row_sum.select(torch.tensor([3, 1]))
    torch.testing.assert_close(row_sum(weights), torch.einsum("nst,ns->nt", matrix[[3, 1]], weights))


def test_ragged_sum():
    values, weights = torch.rand(4, 5), torch.rand(4, 5)
    torch.testing.assert_close(weighted_sum(values, weights), (values * weights).sum(1))
    assert weighted_sum(torch.zeros(0, 5), torch.zeros(0, 5)).shape == (0,)
    assert weighted_row_sum(torch.zeros(0, 0, 0), torch.zeros(0, 0)).shape == (0, 0)
