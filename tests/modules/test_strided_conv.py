import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv1d
from torch.testing import assert_close

from aista.modules.strided_conv import StridedConv, ceil_divide, stride_factors
from tests.modules.checks import check_padding, check_rows_are_independent, padded


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    kernel_size=st.integers(1, 6),
    stride=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_equals_a_convolution_of_each_row_alone(lengths, kernel_size, stride):
    if kernel_size < stride:
        return
    torch.manual_seed(0)
    module = StridedConv(3, 2, kernel_size=kernel_size, stride=stride)
    x, x_lengths = padded(lengths, 3)
    out, out_lengths = module(x, x_lengths)
    left, right = (kernel_size - 1) // 2, kernel_size // 2
    for row, length in enumerate(lengths):
        row_x = torch.cat([torch.zeros(left, 3), x[row, :length], torch.zeros(right, 3)])
        expected = conv1d(row_x.T[None], module.conv.weight, module.conv.bias, stride)[0].T
        assert int(out_lengths[row]) == -(-length // stride) == len(expected)
        assert_close(out[row, : len(expected)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 2), (4, 4), (5, 1)])
def test_padding_never_matters(kernel_size, stride):
    module = StridedConv(4, 5, kernel_size=kernel_size, stride=stride)
    check_padding(module, *padded([9, 1, 6], 4))
    check_rows_are_independent(module, *padded([9, 1, 6], 4))


def test_kernel_smaller_than_stride_would_skip_frames():
    with pytest.raises(ValueError, match=r"kernel_size must be at least the stride.*2 < 3"):
        StridedConv(4, 4, kernel_size=2, stride=3)


def test_stride_factors():
    assert stride_factors(1) == (1,)
    assert stride_factors(8) == (2, 2, 2)
    for total in (0, 3, 6, -2):
        with pytest.raises(ValueError, match=f"power of two .*got {total}"):
            stride_factors(total)


def test_ceil_divide():
    assert ceil_divide(torch.tensor([1, 4, 5, 8]), 4).tolist() == [1, 1, 2, 2]
