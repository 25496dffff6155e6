from __future__ import annotations

import math

import pytest
import torch

from aista.losses.soft_dtw import SoftDTW, SoftDTWConfig, soft_dtw
from aista.schema import structure
from tests.fake_gpu import fake_gpu
from tests.losses.layers import ONE_LAYER, PRESENT, content, layer_states


def _naive(costs: torch.Tensor, gamma: float) -> torch.Tensor:
    """The recursion cell by cell, on autograd's tape."""
    size_s, size_t = costs.shape
    total = {(0, 0): costs[0, 0]}
    for i in range(size_s):
        for j in range(size_t):
            before = [total[p] for p in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if p in total]
            if before:
                total[i, j] = costs[i, j] - gamma * torch.logsumexp(-torch.stack(before) / gamma, 0)
    return total[size_s - 1, size_t - 1]


def _hard(costs: torch.Tensor) -> float:
    """The cheapest monotone path, by enumeration."""
    size_s, size_t = costs.shape

    def walk(i: int, j: int) -> float:
        ways = [(i - 1, j), (i, j - 1), (i - 1, j - 1)]
        rest = [walk(a, b) for a, b in ways if a >= 0 and b >= 0]
        return float(costs[i, j]) + (min(rest) if rest else 0.0)

    return walk(size_s - 1, size_t - 1)


LENGTHS = torch.tensor([6, 1, 3, 4, 1]), torch.tensor([4, 5, 1, 4, 1])


def _costs(seed: int = 0) -> torch.Tensor:
    return torch.rand(5, 6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("gamma", [0.01, 0.1, 1.0, 10.0])
def test_value_and_gradient_are_those_of_the_recursion(gamma):
    costs = _costs().requires_grad_()
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0, 1.5], dtype=torch.float64)
    values = soft_dtw(costs, *LENGTHS, gamma)
    (grad,) = torch.autograd.grad((values * weights).sum(), costs)
    naive = [_naive(costs[n, :s, :t], gamma) for n, (s, t) in enumerate(zip(*LENGTHS, strict=True))]
    torch.testing.assert_close(values, torch.stack(naive))
    (expected,) = torch.autograd.grad((torch.stack(naive) * weights).sum(), costs)
    torch.testing.assert_close(grad, expected)


def test_no_step_waits_for_a_gpu():
    with fake_gpu() as device:
        costs, lengths = torch.rand(5, 6, 5, device=device, requires_grad=True), torch.ones(5, device=device).long()
        soft_dtw(costs, lengths, lengths, 0.1).sum().backward()
        assert costs.grad.shape == costs.shape


def test_gradcheck():
    costs = _costs(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: soft_dtw(c, *LENGTHS, 0.3), costs)


def test_without_blur_it_is_the_cheapest_path():
    costs = _costs(2)
    values = soft_dtw(costs, *LENGTHS, 1e-4)
    for n, (s, t) in enumerate(zip(*LENGTHS, strict=True)):
        assert float(values[n]) == pytest.approx(_hard(costs[n, :s, :t]), abs=2e-3)


def test_equal_costs_count_the_paths():
    """Delannoy numbers: D(2, 2) = 13 paths through a 3 x 3 grid of free cells."""
    value = soft_dtw(torch.zeros(1, 3, 3, dtype=torch.float64), torch.tensor([3]), torch.tensor([3]), 1.0)
    assert float(value) == pytest.approx(-math.log(13))


def test_the_gradient_is_an_expected_path():
    """It passes both ends surely, and costs that grow by 1 everywhere grow the value by its length."""
    costs = _costs(3).requires_grad_()
    (grad,) = torch.autograd.grad(soft_dtw(costs, *LENGTHS, 0.1).sum(), costs)
    assert (grad >= 0).all()
    for n, (s, t) in enumerate(zip(*LENGTHS, strict=True)):
        assert float(grad[n, 0, 0]) == pytest.approx(1)
        assert float(grad[n, s - 1, t - 1]) == pytest.approx(1)
        assert max(s, t) <= float(grad[n].sum()) <= s + t - 1
        assert not grad[n, s:].any()
        assert not grad[n, :, t:].any()


def test_there_is_no_tape_over_the_steps():
    value = soft_dtw(_costs().requires_grad_(), *LENGTHS, 0.1)
    assert value.grad_fn.name() == "_SoftDTWBackward"


def test_fp32_and_far_apart_costs_stay_finite():
    costs = (1e4 * _costs()).float().requires_grad_()
    value = soft_dtw(costs, *LENGTHS, 0.01)
    (grad,) = torch.autograd.grad(value.sum(), costs)
    assert value.isfinite().all()
    assert grad.isfinite().all()


@pytest.mark.parametrize("divergence", [False, True])
def test_the_loss_row_by_row(divergence):
    states = layer_states()
    loss = SoftDTW(structure(SoftDTWConfig, {"cost": "sqeuclidean", "gamma": 0.5, "divergence": divergence}))
    values = loss(states, ONE_LAYER).per_utterance_B
    for row in range(6):
        if row not in PRESENT:
            assert values[row] == 0
            continue
        x, y = content(states, row)
        value = _naive(torch.cdist(x, y).square(), 0.5)
        if divergence:
            value = value - 0.5 * sum(_naive(torch.cdist(z, z).square(), 0.5) for z in (x, y))
        torch.testing.assert_close(values[row], (value / (len(x) + len(y))).float(), rtol=1e-4, atol=1e-5)


def test_the_divergence_of_equal_sequences_is_zero_and_flat():
    states = layer_states([4, 3], [4, 3])
    x = states.speech.detach().clone().requires_grad_()
    loss = SoftDTW(structure(SoftDTWConfig, {"divergence": True}))
    values = loss(states._replace(speech=x, text=x), ONE_LAYER).per_utterance_B
    torch.testing.assert_close(values, torch.zeros(2), atol=1e-6, rtol=0)
    plain = SoftDTW(SoftDTWConfig())(states._replace(text=states.speech), ONE_LAYER).per_utterance_B
    assert (plain < 0).all()


def test_a_batch_without_any_pair():
    states = layer_states([3, 0], [0, 2])
    values = SoftDTW(SoftDTWConfig())(states, ONE_LAYER).per_utterance_B
    values.sum().backward()
    assert values.tolist() == [0, 0]
