import pytest
import torch

from aista.testing import cost as contract


def correct(x, y):
    return (x[..., :, None, :] - y[..., None, :, :]).square().sum(-1)


def transposed(x, y):
    return correct(x, y).mT


def single_precision(x, y):
    return correct(x, y).float()


def rooted(x, y):
    return correct(x, y).sqrt()


def divided(x, y):
    return correct(x, y) / x.square().sum(-1)[..., :, None]


def centred(x, y):
    return correct(x - x.mean(-2, keepdim=True), y)


def blind_to_x(x, y):
    return correct(torch.zeros_like(x), y)


def blind_to_y(x, y):
    return correct(x, torch.zeros_like(y))


def flat(x, y):
    return correct(x.flatten(0, -2), y.flatten(0, -2))


def mixed(x, y):
    return correct(x, y) + (x.sum() if x.dim() > 2 else 0)


def half_detached(x, y):
    return correct(x, y.detach()) + 0 * y.sum()


CASES = [
    (contract.check_shapes, transposed, r"must give \[5, 3\], got \[3, 5\]"),
    (contract.check_shapes, single_precision, "torch.float64 inputs must give torch.float64 costs"),
    (contract.check_shapes, rooted, "gradients that are not finite"),
    (contract.check_shapes, divided, "costs that are not finite"),
    (contract.check_pairwise, centred, r"entry \(i, j\) depends on other states than i and j"),
    (contract.check_pairwise, blind_to_x, "costs do not depend on x"),
    (contract.check_pairwise, blind_to_y, "costs do not depend on y"),
    (contract.check_leading_dimensions, flat, r"must give \[2, 3, 5, 4\]"),
    (contract.check_leading_dimensions, mixed, "a sample's costs depend on its batch"),
    (contract.check_gradients, half_detached, "the gradient is wrong"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_cost_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken)


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_cost_passes(check):
    check(correct)
