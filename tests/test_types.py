import torch

from aista.types import zero_padding


def test_zero_padding_clears_what_is_not_finite_too():
    x = torch.full((2, 3), float("nan"))
    x[0], x[1, 0] = 1.0, 2.0
    assert zero_padding(x, torch.tensor([3, 1])).tolist() == [[1, 1, 1], [2, 0, 0]]
