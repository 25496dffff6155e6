from __future__ import annotations

import math

import ot
import pytest
import torch

from aista.losses import Sinkhorn, Unbalanced, from_cost
from tests.losses.clouds import clouds, masses, shares

TIGHT = {"tolerance": 1e-10, "max_iterations": 5000}
LENGTHS = ([7, 1, 4, 6], [5, 3, 1, 6])


def _kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return (torch.xlogy(p, p / q) - p + q).sum()


@pytest.mark.parametrize("rho", [(1.0, 1.0), (0.2, 3.0), (math.inf, 0.5)])
def test_agrees_with_pot_sample_by_sample(rho):
    case = clouds(*LENGTHS, dtype=torch.float64)
    a, b = masses(case.x_lengths, 8, dtype=torch.float64), masses(case.y_lengths, 7, seed=1, dtype=torch.float64)
    solver = Unbalanced(rho_x=rho[0], rho_y=rho[1], epsilon=0.1, epsilon_scale="absolute", **TIGHT)
    result = solver(*case, x_mass=a, y_mass=b)
    assert result.converged.all()
    for n, (s, t) in enumerate(zip(*LENGTHS, strict=True)):
        M = 1 - torch.cosine_similarity(case.x[n, :s, None], case.y[n, None, :t], dim=-1)
        p, q = shares(a[n], s), shares(b[n], t)
        expected = ot.unbalanced.sinkhorn_unbalanced(
            p, q, M, 0.1, rho, reg_type="kl", method="sinkhorn", numItermax=50_000, stopThr=1e-14
        )
        torch.testing.assert_close(result.plan()[n, :s, :t], expected, atol=1e-8, rtol=0)
        penalties = [
            r * _kl(m, w)
            for r, m, w in zip(rho, (expected.sum(1), expected.sum(0)), (p, q), strict=True)
            if r < math.inf
        ]
        objective = (expected * M).sum() + 0.1 * _kl(expected, p[:, None] * q) + sum(penalties)
        torch.testing.assert_close(result.value[n], objective, atol=1e-8, rtol=0)


def test_large_rho_is_balanced():
    case = clouds(*LENGTHS, dtype=torch.float64)
    balanced, held = Sinkhorn(**TIGHT)(*case), Unbalanced(rho_x=1e3, rho_y=1e3, **TIGHT)(*case)
    torch.testing.assert_close(balanced.value, held.value, atol=1e-3, rtol=0)
    torch.testing.assert_close(balanced.plan(), held.plan(), atol=1e-3, rtol=0)


def test_a_free_side_is_solved_in_closed_form():
    """With one marginal free, each row of the plan is a softmax of its own costs."""
    C = torch.rand(1, 6, 5, dtype=torch.float64)
    result = Unbalanced(rho_x=math.inf, rho_y=0.0, epsilon_scale="absolute", **TIGHT).solve(
        from_cost(C, torch.tensor([6]), torch.tensor([5]))
    )
    torch.testing.assert_close(result.plan(), torch.softmax(-C / 0.1, dim=2) / 6)
    assert result.converged.all()
    unheld = Unbalanced(rho_x=0.0, rho_y=0.0, epsilon_scale="absolute").solve(
        from_cost(C, torch.tensor([6]), torch.tensor([5]))
    )
    torch.testing.assert_close(unheld.plan(), torch.exp(-C / 0.1) / 30)


@pytest.mark.parametrize("rho", [(0.0, 0.0), (0.0, 1.0)])
def test_a_bad_cost_never_counts_as_converged(rho):
    """With both sides free no marginal can be wrong; the value is."""
    C = torch.rand(2, 3, 2)
    C[0, 1, 1] = math.nan
    result = Unbalanced(rho_x=rho[0], rho_y=rho[1]).solve(from_cost(C, torch.tensor([3, 3]), torch.tensor([2, 2])))
    assert result.converged.tolist() == [False, True]


def test_far_states_lose_their_mass():
    C = torch.tensor([[[0.0, 0.1], [0.1, 0.0], [50.0, 50.0]]])
    options = {"epsilon": 0.05, "epsilon_scale": "absolute", "max_iterations": 1000}
    s, t = torch.tensor([3]), torch.tensor([2])
    assert Unbalanced(**options).solve(from_cost(C, s, t)).plan()[0, 2].sum() < 1e-6
    torch.testing.assert_close(
        Sinkhorn(**options).solve(from_cost(C, s, t)).plan()[0, 2].sum(), torch.tensor(1 / 3), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("rho", [(1.0, 0.4), (math.inf, 0.5), (0.0, 1.0), (0.0, 0.0)])
def test_gradcheck(rho):
    case = clouds([3, 1], [2, 2], dim=3, dtype=torch.float64)
    x, y = (torch.nan_to_num(z, 1.0, posinf=1.0).requires_grad_() for z in case[:2])
    g = torch.Generator().manual_seed(0)
    a, b = ((torch.rand(2, size, generator=g, dtype=torch.float64) + 0.5).requires_grad_() for size in (4, 3))

    def loss(x, y, a, b):
        solver = Unbalanced(rho_x=rho[0], rho_y=rho[1], epsilon=0.5, epsilon_scale="absolute", **TIGHT)
        return solver(x, y, *case[2:], x_mass=a, y_mass=b).value

    assert torch.autograd.gradcheck(loss, (x, y, a, b), atol=1e-5)


def test_the_error_measures_the_distance_from_optimal_marginals():
    case = clouds(*LENGTHS, dtype=torch.float64)
    rough = Unbalanced(epsilon=0.02, max_iterations=2)(*case)
    fine = Unbalanced(epsilon=0.02, **TIGHT)(*case)
    assert not rough.converged[0]
    assert fine.converged.all()
    assert ((rough.plan() - fine.plan()).abs().sum((1, 2)) > 1e-6)[0]
