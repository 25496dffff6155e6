"""The checkers must fail where the rule is broken."""

import pytest
import torch
from torch import Tensor, nn

from tests.modules.checks import check_padding, check_rows_are_independent, padded


class Leaky(nn.Module):
    """Convolves the content of the padding."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 3, padding=1)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.conv(x.transpose(1, 2)).transpose(1, 2), lengths


class BatchCentred(Leaky):
    """Subtracts the mean over the batch."""

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return x - x.mean((0, 1)), lengths


def test_check_padding_notices_a_leak():
    with pytest.raises(AssertionError):
        check_padding(Leaky(), *padded([5, 3], 4))


def test_check_rows_notices_batch_statistics():
    with pytest.raises(AssertionError):
        check_rows_are_independent(BatchCentred(), *padded([5, 3], 4))


def test_padded_is_zero_in_the_padding():
    x, lengths = padded([4, 2], 3)
    assert x.shape == (2, 4, 3)
    assert lengths.tolist() == [4, 2]
    assert torch.equal(x[1, 2:], torch.zeros(2, 3))
    assert (x[1, :2] != 0).all()
